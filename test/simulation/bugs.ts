// Bugs made by hand, to see that the simulation bites: each replaces one text in one file of the source.

export interface Bug {
  readonly name: string;
  readonly file: string;
  readonly text: string;
  readonly instead: string;
}

export const BUGS: readonly Bug[] = [];
