// SPDX-License-Identifier: MPL-2.0

import { Hono } from "hono";
import { etag } from "hono/etag";
import { greet } from "./greet";
import { planets } from "./planets";

type Env = {
  STAGE: string;
  VERSION: { id: string; tag: string };
};

const app = new Hono<{ Bindings: Env }>();

// Which version answered: this is how one sees a deployment arrive.
app.use(async (c, next) => {
  await next();
  c.header("x-worker-version", c.env.VERSION.id);
});

app.get("/", (c) => c.text(greet("world", c.env.STAGE)));
app.get("/hello/:name", (c) => c.text(greet(c.req.param("name"), c.env.STAGE)));
app.use("/planets/*", etag());
app.route("/planets", planets);
app.notFound((c) => c.json({ error: `nothing at ${c.req.path}` }, 404));

export default app;
