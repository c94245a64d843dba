// SPDX-License-Identifier: MPL-2.0

package bundle

import "strings"

// builtinFilter matches the modules of Node.js that can be imported without
// "node:" (module.builtinModules of Node.js 22, less the internal ones).
var builtinFilter = `^(` + strings.Join(nodeBuiltins, "|") + `)$`

var nodeBuiltins = []string{
	"assert", "assert/strict", "async_hooks", "buffer", "child_process", "cluster",
	"console", "constants", "crypto", "dgram", "diagnostics_channel", "dns",
	"dns/promises", "domain", "events", "fs", "fs/promises", "http", "http2",
	"https", "inspector", "inspector/promises", "module", "net", "os", "path",
	"path/posix", "path/win32", "perf_hooks", "process", "punycode", "querystring",
	"readline", "readline/promises", "repl", "stream", "stream/consumers",
	"stream/promises", "stream/web", "string_decoder", "sys", "timers",
	"timers/promises", "tls", "trace_events", "tty", "url", "util", "util/types",
	"v8", "vm", "wasi", "worker_threads", "zlib",
}

func isBuiltin(name string) bool {
	for _, b := range nodeBuiltins {
		if name == b {
			return true
		}
	}
	return false
}
