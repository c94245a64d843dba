// SPDX-License-Identifier: MPL-2.0

// Preloaded into every Node.js process of a test: a connection or a name look-up
// that leaves this machine fails, and is written to HYBRIDGE_EGRESS_LOG so that
// the test fails as well.
const { appendFileSync } = require("node:fs");
const dns = require("node:dns");
const net = require("node:net");

function isLocal(host) {
  return host === undefined || host === null || host === "" || host === "localhost" || host.endsWith(".localhost") ||
    host === "::1" || /^127\.\d+\.\d+\.\d+$/.test(host);
}

function refuse(what) {
  if (process.env.HYBRIDGE_EGRESS_LOG) {
    appendFileSync(process.env.HYBRIDGE_EGRESS_LOG, what + "\n");
  }
  return new Error("tests talk to loopback only: " + what);
}

const connect = net.Socket.prototype.connect;
net.Socket.prototype.connect = function (...args) {
  const given = Array.isArray(args[0]) ? args[0] : args;
  const options = typeof given[0] === "object" && given[0] !== null ? given[0]
    : typeof given[0] === "string" && !/^\d+$/.test(given[0]) ? { path: given[0] }
    : { port: given[0], host: typeof given[1] === "string" ? given[1] : undefined };
  if (!options.path && !isLocal(options.host)) {
    const err = refuse(`connect ${options.host}:${options.port}`);
    process.nextTick(() => this.destroy(err));
    return this;
  }
  return connect.apply(this, args);
};

const lookup = dns.lookup;
dns.lookup = function (host, ...rest) {
  const callback = rest[rest.length - 1];
  if (!net.isIP(host) && !isLocal(host)) {
    process.nextTick(callback, refuse(`look up ${host}`));
    return;
  }
  return lookup.call(this, host, ...rest);
};
