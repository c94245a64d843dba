// SPDX-License-Identifier: MPL-2.0

package bundle

import (
	"runtime/debug"
	"sync"
)

// codeDigest is the identity of code: of what it is made from, which of it is
// the main module, and of the options of the bundler. Its form is part of "hb1".
func codeDigest(form, main string, options any, modules map[string]string) string {
	return canonicalHash("hb1 code", struct {
		Form    string            `json:"form"`
		Main    string            `json:"main"`
		Options any               `json:"options,omitempty"`
		Modules map[string]string `json:"modules"`
	}{form, main, options, modules})
}

const esbuildModule = "github.com/evanw/esbuild"

// bundlerVersion is the version of esbuild linked into this program.
var bundlerVersion = sync.OnceValue(func() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			if dep.Path == esbuildModule {
				return "esbuild " + trimV(dep.Version)
			}
		}
	}
	return "esbuild"
})

func trimV(version string) string {
	if version != "" && version[0] == 'v' {
		return version[1:]
	}
	return version
}
