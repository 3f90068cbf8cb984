// The real gateway in front of real processes of the sim engine, which are as fast as the virtual replicas.
import { GatewayHome, type Gateway } from "../../../test/support/gateway-process.ts";
import { until } from "../../../test/support/until.ts";
import { flagsOf, type Speed } from "../speed.ts";

export interface SiteOptions {
  /** A value of the recipe's key. */
  readonly balance: string;
  readonly replicas: number;
  readonly speed: Speed;
}

export const MODEL = "routed";

/** All replicas are ready, with nothing in their caches. */
export async function openSite({ balance, replicas, speed }: SiteOptions): Promise<Gateway & AsyncDisposable> {
  const args = [...flagsOf(speed), "--max-model-len", "200000", "--enable-prompt-tokens-details"];
  const recipe = [
    `model: ${MODEL}`,
    "engine: sim",
    "runtime: process",
    `balance: ${balance}`,
    `replicas: { min: ${replicas}, max: ${replicas} }`,
    `args: ${JSON.stringify(args)}`,
    "profiles: { 0_gpu: {} }",
  ];
  await using opened = new AsyncDisposableStack();
  const home = await GatewayHome.make({ recipes: { [MODEL]: recipe.join("\n") } });
  opened.defer(() => home.remove());
  const gateway = await home.start();
  opened.defer(async () => void (await gateway.stop()));
  const areReady = async () => (await gateway.replicas()).filter(({ state }) => state === "ready").length === replicas;
  await until(areReady, { timeoutMs: 60_000, what: `${replicas} replicas that are ready` });
  const closing = opened.move();
  return Object.assign(gateway, { [Symbol.asyncDispose]: () => closing.disposeAsync() });
}
