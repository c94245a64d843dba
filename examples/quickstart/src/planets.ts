// SPDX-License-Identifier: MPL-2.0

import { Hono } from "hono";

type Planet = { name: string; moons: number };

const known: readonly Planet[] = [
  { name: "earth", moons: 1 },
  { name: "mars", moons: 2 },
  { name: "neptune", moons: 16 },
];

export const planets = new Hono()
  .get("/", (c) => c.json(known))
  .get("/:name", (c) => {
    const planet = known.find(({ name }) => name === c.req.param("name"));
    return planet ? c.json(planet) : c.json({ error: "no such planet" }, 404);
  });
