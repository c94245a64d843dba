// SPDX-License-Identifier: MPL-2.0

package main

import (
	"io"
	"os"
	"strings"

	"github.com/hashicorp/go-hclog"
)

// logVariable names the environment variable with the log's level.
const logVariable = "HYBRIDGE_LOG"

// newLog makes the log of a command. level is that of HYBRIDGE_LOG, or fallback
// where it is unset.
func newLog(w io.Writer, format, level string, fallback hclog.Level) (hclog.Logger, error) {
	opts := &hclog.LoggerOptions{Name: "hybridge", Output: w, Level: fallback}
	switch format {
	case "text":
		if f, ok := w.(*os.File); ok && f == os.Stderr {
			opts.Color, opts.ColorHeaderOnly = hclog.AutoColor, true
		}
	case "json":
		opts.JSONFormat = true
	default:
		return nil, usageError("--log-format %q is unknown; use text or json", format)
	}
	if level != "" {
		opts.Level = hclog.LevelFromString(level) // any case
		if opts.Level == hclog.NoLevel {
			return nil, usageError("%s=%q is no level; use trace, debug, info, warn, error or off", logVariable, strings.TrimSpace(level))
		}
	}
	return hclog.New(opts), nil
}
