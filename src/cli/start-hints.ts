// One next step for a start that failed, by what its reason says.

const HINTS: readonly (readonly [RegExp, string])[] = [
  [/out.of.memory|\boom\b/i, "Give it more GPUs (aim-engine launch MODEL 2), or lower --max-model-len in its recipe."],
  [
    /gated|401|403|hf_token/i,
    "Accept the model's licence on huggingface.co and put HF_TOKEN under env in config.yaml.",
  ],
  [/image/i, 'Check the image in the recipe ("aim-engine recipes") and that this machine can pull it.'],
  [/disk|no space/i, "Make room on the disk: docker system df shows what Docker holds."],
  [/gpu.access|\/dev\/(kfd|dri)|permission/i, "Give the gateway's user the groups render and video."],
  [/argument|unrecognized/i, "Correct the arguments in the recipe; the log names the one that was refused."],
  [/timed? ?out|no progress/i, "Raise startTimeout in the recipe if the model only needs longer."],
];

/** The first that fits; undefined when none does. */
export function startHint(reason: string): string | undefined {
  return HINTS.find(([pattern]) => pattern.test(reason))?.[1];
}
