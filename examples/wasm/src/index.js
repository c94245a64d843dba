// SPDX-License-Identifier: MPL-2.0

import adler32 from "./adler32.wasm";
import usage from "./usage.txt";

// The module is compiled when the version is loaded, once; one instance serves
// all requests, because a checksum leaves nothing behind.
const { exports } = new WebAssembly.Instance(adler32);
const capacity = exports.memory.buffer.byteLength;

/** checksum returns the Adler-32 checksum of bytes, in hexadecimal. */
function checksum(bytes) {
  new Uint8Array(exports.memory.buffer).set(bytes);
  return (exports.adler32(0, bytes.length) >>> 0).toString(16).padStart(8, "0");
}

export default {
  async fetch(request) {
    if (request.method !== "POST") {
      return new Response(usage, { status: 405, headers: { allow: "POST" } });
    }
    const body = new Uint8Array(await request.arrayBuffer());
    if (body.length > capacity) {
      return new Response(`more than ${capacity} bytes\n`, { status: 413 });
    }
    return new Response(checksum(body) + "\n");
  },
};
