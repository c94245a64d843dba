interface Env {
  DB_PASSWORD: string
  WEBHOOK_KEY: string
}

// Signs what it is sent, and says how long the password is: enough to see that
// both secrets are there, and too little to learn them.
export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    if (request.method !== "POST") {
      return new Response(`the password has ${env.DB_PASSWORD.length} characters\n`)
    }
    const key = await crypto.subtle.importKey("raw", new TextEncoder().encode(env.WEBHOOK_KEY), { name: "HMAC", hash: "SHA-256" }, false, ["sign"])
    const signature = new Uint8Array(await crypto.subtle.sign("HMAC", key, await request.arrayBuffer()))
    return new Response([...signature].map((byte) => byte.toString(16).padStart(2, "0")).join("") + "\n")
  },
}
