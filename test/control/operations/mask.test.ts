import { expect, it } from "vitest";
import { maskArgv, maskEnv } from "../../../src/control/operations/mask.ts";

it("hides the values of variables whose names say that they are secrets", () => {
  const env = {
    HF_TOKEN: "hf_x",
    AWS_SECRET: "s",
    api_key: "k",
    DB_PASSWORD: "p",
    DB_PASSWD: "p",
    PROXY_AUTH: "a",
    MY_CREDENTIALS: "c",
    SEED: "1",
  };
  expect(maskEnv(env)).toEqual({
    HF_TOKEN: "***",
    AWS_SECRET: "***",
    api_key: "***",
    DB_PASSWORD: "***",
    DB_PASSWD: "***",
    PROXY_AUTH: "***",
    MY_CREDENTIALS: "***",
    SEED: "1",
  });
});

it("hides a password within a URL, and what is a key by its look", () => {
  const env = {
    HTTPS_PROXY: "http://user:s3cret@proxy:3128",
    EXTRA: "use hf_abcdefghijklmnop",
    PLAIN: "http://host:1/x",
  };
  expect(maskEnv(env)).toEqual({
    HTTPS_PROXY: "http://***@proxy:3128",
    EXTRA: "use hf_***",
    PLAIN: "http://host:1/x",
  });
});

it.each([
  [
    ["vllm", "--hf-token", "abc", "--seed", "1"],
    ["vllm", "--hf-token", "***", "--seed", "1"],
  ],
  [["--api-key=abc"], ["--api-key=***"]],
  [
    ["--max-num-batched-tokens", "8192", "--ssl-keyfile", "/k"],
    ["--max-num-batched-tokens", "8192", "--ssl-keyfile", "/k"],
  ],
  [["--compilation-config={}"], ["--compilation-config={}"]],
])("shows %j as %j", (argv, shown) => {
  expect(maskArgv(argv)).toEqual(shown);
});
