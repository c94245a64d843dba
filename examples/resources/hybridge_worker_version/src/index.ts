// SPDX-License-Identifier: MPL-2.0

import { greet, type Env } from "./greet";

export default {
  fetch(_request: Request, env: Env): Response {
    return new Response(greet(env));
  },
};
