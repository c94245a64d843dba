// SPDX-License-Identifier: MPL-2.0

package workerd

import (
	"encoding/json"
	"fmt"
	"strings"
)

// StackPrefix starts a line of addresses in the binary, which tells a user nothing.
const StackPrefix = "stack: "

// LogLine is one line that a process printed.
type LogLine struct {
	Level   string // "debug", "log", "info", "warn" or "error"
	Message string
	// Runtime is true for what workerd itself has to say, false for what the
	// Worker wrote by console.log and the like.
	Runtime bool
}

// ParseLog reads a line of a process' output. What is not in workerd's structured
// form is taken as the runtime's words.
func ParseLog(line []byte) LogLine {
	var entry struct {
		Level   string `json:"level"`
		Message string `json:"message"`
		Source  string `json:"source"`
	}
	if len(line) > 0 && line[0] == '{' && json.Unmarshal(line, &entry) == nil && entry.Level != "" {
		l := LogLine{Level: entry.Level, Message: entry.Message, Runtime: entry.Source != ""}
		if l.Runtime {
			l.Message = runtimeText(l.Message)
		}
		return l
	}
	return LogLine{Level: "error", Message: string(line), Runtime: true}
}

// runtimeText is what workerd says about an internal error, without the
// addresses in its binary, but with the reference that the Worker is given. All
// that a Worker learns of an address that it must not reach is such a reference.
func runtimeText(message string) string {
	text, trace, found := strings.Cut(message, "\n"+StackPrefix)
	if !found {
		return message
	}
	if _, at, ok := strings.Cut(text, "connecting to "); ok {
		if address, denied := strings.CutSuffix(at, " is not allowed"); denied {
			text = "the Worker may not connect to " + address + ": private, loopback and special addresses are closed to Workers; " +
				"\"hybridge dev --allow-egress\" opens some"
		}
	}
	if _, reference, ok := strings.Cut(trace, "wdErrId = "); ok {
		reference, _, _ = strings.Cut(reference, ";")
		text += " (reference = " + strings.TrimSpace(reference) + ")"
	}
	return text
}

// PlainOutput turns a process' output into text for people.
func PlainOutput(output string) string {
	var lines []string
	for _, l := range strings.Split(output, "\n") {
		if !strings.HasPrefix(l, StackPrefix) {
			lines = append(lines, ParseLog([]byte(l)).Message)
		}
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}

// servicePrefix starts each error that concerns the version rather than the machine.
const servicePrefix = "service main: "

// StartupError finds in the output (as PlainOutput gives it) of a process that
// did not start what is wrong with the version; nil if nothing is, so that
// the fault is elsewhere.
func StartupError(v Version, output string, heapLimitMiB int) *InvalidVersionError {
	if strings.Contains(output, "<--- Last few GCs --->") { // V8's farewell
		if heapLimitMiB == 0 {
			heapLimitMiB = DefaultHeapLimitMiB
		}
		return &InvalidVersionError{Message: fmt.Sprintf("Script startup exceeded the memory limit of %d MiB.", heapLimitMiB)}
	}
	_, text, found := strings.Cut(output, servicePrefix)
	if !found {
		return nil
	}
	text = strings.ReplaceAll(text, servicePrefix, "")
	for _, m := range v.Modules { // where a module's bytes lie is nobody's business
		text = strings.ReplaceAll(text, m.Path, m.Name)
	}
	if strings.Contains(text, "you must pass --experimental") {
		text = strings.SplitN(text, " To use this flag", 2)[0] + " A self-hosted plane does not run experimental features."
	}
	return &InvalidVersionError{Message: strings.TrimSpace(text)}
}
