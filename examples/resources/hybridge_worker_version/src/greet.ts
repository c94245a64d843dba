// SPDX-License-Identifier: MPL-2.0

export interface Env {
  GREETING: string;
  LIMITS: { burst: number };
}

export function greet(env: Env): string {
  return `${env.GREETING}, at most ${env.LIMITS.burst} at a time`;
}
