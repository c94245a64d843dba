// SPDX-License-Identifier: MPL-2.0

package fleet

import (
	"encoding/json"
	"strings"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/workerd"
)

// shortestSecret is from which length on a secret is hidden in output. Hiding
// "1" or "yes" everywhere would destroy the text and tell the value by its gaps.
const shortestSecret = 6

// redactor replaces the values of secrets by their binding's name.
func redactor(bindings []workerd.Binding) *strings.Replacer {
	var pairs []string
	for _, b := range bindings {
		var value string
		if b.Type != "secret_text" || json.Unmarshal(b.Fields["text"], &value) != nil || len(value) < shortestSecret {
			continue
		}
		pairs = append(pairs, value, "[secret "+b.Name+"]")
		// As it appears inside a structured line that could not be parsed.
		if escaped, err := json.Marshal(value); err == nil && string(escaped[1:len(escaped)-1]) != value {
			pairs = append(pairs, string(escaped[1:len(escaped)-1]), "[secret "+b.Name+"]")
		}
	}
	return strings.NewReplacer(pairs...)
}

// logLine passes on a line that the process printed.
func (i *instance) logLine(line []byte) {
	l := workerd.ParseLog(line)
	if l.Runtime && (l.Message == "" || strings.HasPrefix(l.Message, workerd.StackPrefix)) {
		return
	}
	text := i.redactor.Replace(l.Message)
	source := "console"
	if l.Runtime {
		source = "workerd"
	}
	switch l.Level {
	case "error":
		i.log.Error(text, "source", source)
	case "warn", "warning":
		i.log.Warn(text, "source", source)
	case "debug", "trace":
		i.log.Debug(text, "source", source)
	default:
		i.log.Info(text, "source", source)
	}
}
