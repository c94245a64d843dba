// The first module of a validating process. It imports the version's main module
// and answers each request with what that module exports.
import * as exported from __MAIN__;
import * as cloudflare from "cloudflare:workers";

const events = ["fetch", "scheduled", "queue", "email", "tail", "tailStream", "trace", "alarm", "connect", "test"];
const bases = { entrypoint: "WorkerEntrypoint", durable_object: "DurableObject", workflow: "WorkflowEntrypoint" };

function kindOf(value) {
  if (typeof value === "function") {
    for (const [kind, base] of Object.entries(bases)) {
      if (cloudflare[base] && value.prototype instanceof cloudflare[base]) return kind;
    }
    // Durable Object classes need not extend anything; plain functions are no entry points.
    return /^class\b/.test(Function.prototype.toString.call(value)) ? "class" : "other";
  }
  return value !== null && typeof value === "object" ? "object" : "other";
}

export default {
  fetch() {
    const found = {};
    for (const [name, value] of Object.entries(exported)) {
      const kind = kindOf(value);
      const holder = kind === "object" ? value : typeof value === "function" ? value.prototype : undefined;
      found[name] = { kind, handlers: holder ? events.filter((e) => typeof holder[e] === "function") : [] };
    }
    return Response.json(found);
  },
};
