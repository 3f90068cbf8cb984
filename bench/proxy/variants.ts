// All that is compared.
import { us, usWorkers } from "./variants/aim.ts";
import { caddy } from "./variants/caddy.ts";
import { direct } from "./variants/direct.ts";
import { haproxy } from "./variants/haproxy.ts";
import { nginx } from "./variants/nginx.ts";
import { plain } from "./variants/plain.ts";
import { portkey } from "./variants/portkey.ts";
import type { Variant } from "./variant.ts";

export const VARIANTS: readonly Variant[] = [direct, nginx, haproxy, us, usWorkers, caddy, plain, portkey];
