// SPDX-License-Identifier: MPL-2.0
//
// A Worker that takes the agent's alerts, checks that the agent has sent them, and passes
// each on as one line of text, in the form that chat services take ({"text": "..."}).
//
// SECRET       secret: what is in alerts.webhooks[].secret_file of agent.yaml
// FORWARD_URL  secret, optional: where the line goes; without it, to the Worker's log
//
// Run it somewhere else than on the machine that it is to tell of.

const TOLERANCE_SECONDS = 300;

export default {
  async fetch(request, env) {
    if (request.method !== "POST") return new Response("POST alerts here\n", { status: 405, headers: { Allow: "POST" } });
    const body = await request.text();
    if (!(await signed(request.headers, body, env.SECRET))) return new Response("the signature is wrong or old\n", { status: 401 });
    const event = JSON.parse(body);
    const text = line(event);
    // Rollouts are told to the same webhooks; this receiver is about alerts.
    if (text === undefined) return new Response(null, { status: 204 });
    console.log(text);
    if (env.FORWARD_URL) {
      const answer = await fetch(env.FORWARD_URL, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ text }),
      });
      // The agent tries again for a day whatever is not answered with 2xx.
      if (!answer.ok) return new Response("it could not be passed on\n", { status: 502 });
    }
    return new Response(text + "\n");
  },
};

function line(event) {
  if (event.type !== "alert.raised" && event.type !== "alert.resolved") return undefined;
  const { alert, agent } = event.data;
  const where = agent.region ? `${agent.machine} (${agent.region})` : agent.machine;
  return event.type === "alert.raised"
    ? `${where}: ${alert.kind} ${alert.subject}: ${alert.detail}`
    : `${where}: ${alert.kind} ${alert.subject} has ended`;
}

// Standard Webhooks: HMAC-SHA256 over "id.timestamp.body"; the header lists "v1,<base64>".
async function signed(headers, body, secret) {
  const id = headers.get("webhook-id");
  const timestamp = headers.get("webhook-timestamp");
  const age = Math.abs(Date.now() / 1000 - Number(timestamp));
  if (!id || !timestamp || !(age <= TOLERANCE_SECONDS)) return false;
  const text = secret.trim();
  const raw = text.startsWith("whsec_") ? decode(text.slice(6)) : new TextEncoder().encode(text);
  const key = await crypto.subtle.importKey("raw", raw, { name: "HMAC", hash: "SHA-256" }, false, ["verify"]);
  const message = new TextEncoder().encode(`${id}.${timestamp}.${body}`);
  for (const part of (headers.get("webhook-signature") ?? "").split(" ")) {
    const [version, signature] = part.split(",");
    // verify() compares in constant time.
    if (version === "v1" && signature && (await crypto.subtle.verify("HMAC", key, decode(signature), message))) return true;
  }
  return false;
}

function decode(base64) {
  try {
    return Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  } catch {
    return new Uint8Array();
  }
}
