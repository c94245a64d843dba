// SPDX-License-Identifier: MPL-2.0

import words from "./words.json";

/** greet says hello to somebody, in the words of words.json. */
export function greet(name: string, stage: string): string {
  return `${words.greeting}, ${name}! (${stage})`;
}
