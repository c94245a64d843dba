// SPDX-License-Identifier: MPL-2.0

package bundle

import (
	"context"
	"strings"
)

// Script is one ES module, written where it is used.
type Script struct {
	Text string
}

// scriptName is the name of the only module; it shows in stack traces.
const scriptName = "index.js"

func (s Script) key() string { return keyOf("script", s.Text) }

func (s Script) inspect(ctx context.Context, b *Bundler) (*Code, []stamp, error) {
	out, err := s.build(ctx, b)
	if err != nil {
		return nil, nil, err
	}
	return out.Code, nil, nil
}

func (s Script) build(ctx context.Context, _ *Bundler) (*Bundle, error) {
	if strings.TrimSpace(s.Text) == "" {
		return nil, &InputError{Option: "script", Text: "the script is empty", Remedy: "write an ES module with a default export"}
	}
	m := memoryModule(scriptName, typeESModule, []byte(s.Text))
	if err := checkLimits(ctx, []Module{m}); err != nil {
		return nil, err
	}
	sums := map[string]string{scriptName: m.SHA256}
	code := &Code{SHA256: codeDigest("modules", scriptName, nil, sums), Modules: sums}
	return &Bundle{Code: code, Main: scriptName, Modules: []Module{m}, Size: m.Size}, nil
}
