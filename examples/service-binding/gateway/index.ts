// SPDX-License-Identifier: MPL-2.0

interface Env {
  CATALOG: { fetch(input: string): Promise<Response> };
  PRICES: { of(fruit: string): Promise<number> };
}

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const { pathname } = new URL(request.url);
    const fruit = pathname.match(/^\/price\/(\w+)$/)?.[1];
    if (fruit === undefined) {
      return env.CATALOG.fetch(`http://catalog${pathname}`);
    }
    try {
      return new Response(`${fruit}: ${await env.PRICES.of(fruit)}\n`);
    } catch (error) {
      return new Response(`${(error as Error).message}\n`, { status: 404 });
    }
  },
};
