// SPDX-License-Identifier: MPL-2.0

import { WorkerEntrypoint } from "cloudflare:workers";

const prices = new Map([
  ["apple", 3],
  ["pear", 4],
]);

/** Prices is called by name, with arguments and results instead of HTTP. */
export class Prices extends WorkerEntrypoint {
  of(fruit: string): number {
    const price = prices.get(fruit);
    if (price === undefined) {
      throw new RangeError(`no price for ${fruit}`);
    }
    return price;
  }
}

/** The default export is called over HTTP. */
export default {
  fetch(request: Request): Response {
    const { pathname } = new URL(request.url);
    return Response.json({ path: pathname, fruits: [...prices.keys()] });
  },
};
