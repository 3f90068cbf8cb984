// What GPUs are called in recipes, and which architecture they have. Sizes come from the driver, never from a table.

export interface Product {
  /** "MI300X" */
  readonly product: string;
  /** "gfx942" */
  readonly arch?: string;
}

/** By PCI device id; the kernel's own name of a card is often empty. */
const AMD_PRODUCTS: Readonly<Record<string, readonly [product: string, arch: string]>> = {
  "0x740f": ["MI210", "gfx90a"],
  "0x7410": ["MI210", "gfx90a"],
  "0x7408": ["MI250X", "gfx90a"],
  "0x740c": ["MI250", "gfx90a"],
  "0x74a0": ["MI300A", "gfx942"],
  "0x74a1": ["MI300X", "gfx942"],
  "0x74b5": ["MI300X", "gfx942"],
  "0x74a9": ["MI300X", "gfx942"],
  "0x74bd": ["MI300X", "gfx942"],
  "0x74a2": ["MI308X", "gfx942"],
  "0x74a8": ["MI308X", "gfx942"],
  "0x74b6": ["MI308X", "gfx942"],
  "0x74a5": ["MI325X", "gfx942"],
  "0x74b9": ["MI325X", "gfx942"],
  "0x75a0": ["MI350X", "gfx950"],
  "0x75b0": ["MI350X", "gfx950"],
  "0x75a3": ["MI355X", "gfx950"],
  "0x75b3": ["MI355X", "gfx950"],
  "0x744c": ["RX 7900", "gfx1100"],
};

/** `name` is what the kernel calls the card: "AMD Instinct MI300X OAM" is an "MI300X". */
export function amdProduct(deviceId: string, name = ""): Product {
  const [product, arch] = AMD_PRODUCTS[deviceId] ?? [];
  if (product !== undefined && arch !== undefined) return { product, arch };
  const fallback = name === "" ? `AMD ${deviceId}`.trim() : name;
  return { product: /\bMI\d{3}[A-Z]?\b/.exec(name)?.[0] ?? fallback };
}

/** Of accelerators for servers the model ("NVIDIA H100 80GB HBM3" → "H100"); other names stay whole. */
export function nvidiaProduct(name: string): string {
  return /^(?:NVIDIA|Tesla) ((?:GB|GH|[ABHLPTV])\d{1,3}[GS]?)(?=[ -]|$)/.exec(name)?.[1] ?? name;
}
