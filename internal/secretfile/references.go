// SPDX-License-Identifier: MPL-2.0

package secretfile

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// Words of the provider's configuration.
const (
	attributeSopsFile     = "sops_file"
	attributeKey          = "key"
	attributeFile         = "file"
	attributeAPITokenSops = "api_token_sops"
	kindSopsFile          = "hybridge_sops_file"
)

// reference is a place in a configuration that names a value in a SOPS file.
type reference struct {
	at   string // FILE:LINE
	line int
	file string // relative to the working directory, or absolute
	key  string // may be empty
	// whole says that more than one value may be referred to.
	whole bool
}

// references finds the places in a configuration file that say with literals, or
// with path.module, which value they mean. others counts those that say it in
// another way.
func references(path string, text []byte) (refs []reference, others int, err error) {
	parsed, diags := hclsyntax.ParseConfig(text, path, hcl.InitialPos)
	if diags.HasErrors() {
		// Neither the detail nor the source: a literal may stand in both.
		line := 0
		if s := diags[0].Subject; s != nil {
			line = s.Start.Line
		}
		return nil, 0, fmt.Errorf("line %d cannot be parsed: run `terraform validate`", line)
	}
	s := search{path: path, dir: filepath.Dir(path)}
	if s.module, err = filepath.Abs(s.dir); err != nil {
		return nil, 0, err
	}
	s.scope = &hcl.EvalContext{Variables: map[string]cty.Value{
		"path": cty.ObjectVal(map[string]cty.Value{"module": cty.StringVal(s.module)}),
	}}
	body, ok := parsed.Body.(*hclsyntax.Body)
	if !ok {
		return nil, 0, nil
	}
	// The visitor reports nothing.
	_ = hclsyntax.VisitAll(body, func(node hclsyntax.Node) hcl.Diagnostics {
		s.look(node)
		return nil
	})
	slices.SortFunc(s.found, func(a, b reference) int {
		return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.file, b.file), cmp.Compare(a.key, b.key))
	})
	return s.found, s.others, nil
}

type search struct {
	path, dir string
	module    string // the directory, absolute
	scope     *hcl.EvalContext
	found     []reference
	others    int
}

// look takes what a node says of itself; its children are visited, too.
func (s *search) look(node hclsyntax.Node) {
	switch n := node.(type) {
	case *hclsyntax.ObjectConsExpr:
		members := s.members(n)
		if file, ok := members[attributeSopsFile]; ok {
			s.add(n.Range(), file, members[attributeKey], false)
		}
		if inner, ok := members[attributeAPITokenSops]; ok {
			s.token(inner)
		}
	case *hclsyntax.Attribute:
		if n.Name == attributeAPITokenSops {
			s.token(n.Expr)
		}
	case *hclsyntax.Block:
		if len(n.Labels) > 0 && n.Labels[0] == kindSopsFile {
			if file, ok := n.Body.Attributes[attributeFile]; ok {
				var key hclsyntax.Expression
				if a := n.Body.Attributes[attributeKey]; a != nil {
					key = a.Expr
				}
				s.add(n.Range(), file.Expr, key, true)
			}
		}
	}
}

func (s *search) token(e hclsyntax.Expression) {
	object, ok := e.(*hclsyntax.ObjectConsExpr)
	if !ok {
		s.others++
		return
	}
	members := s.members(object)
	if file, ok := members[attributeFile]; ok {
		s.add(object.Range(), file, members[attributeKey], false)
	}
}

func (s *search) members(o *hclsyntax.ObjectConsExpr) map[string]hclsyntax.Expression {
	out := map[string]hclsyntax.Expression{}
	for _, item := range o.Items {
		name, diags := item.KeyExpr.Value(nil)
		if !diags.HasErrors() && name.Type() == cty.String && name.IsKnown() && !name.IsNull() {
			out[name.AsString()] = item.ValueExpr
		}
	}
	return out
}

func (s *search) add(at hcl.Range, file, key hclsyntax.Expression, whole bool) {
	path, ok := s.literal(file)
	r := reference{at: fmt.Sprintf("%s:%d", s.path, at.Start.Line), line: at.Start.Line, whole: whole}
	if ok && key != nil {
		r.key, ok = s.literal(key)
	}
	if !ok {
		s.others++
		return
	}
	if rest, inModule := strings.CutPrefix(path, s.module); inModule {
		r.file = filepath.Join(s.dir, rest) // as whoever reads it would write it
	} else if filepath.IsAbs(path) {
		r.file = filepath.Clean(path)
	} else {
		r.file = filepath.Join(s.dir, path) // Terraform runs where the configuration is
	}
	s.found = append(s.found, r)
}

// literal is the text of an expression that needs nothing but path.module.
func (s *search) literal(e hclsyntax.Expression) (string, bool) {
	v, diags := e.Value(s.scope)
	if diags.HasErrors() || !v.IsKnown() || v.IsNull() || v.Type() != cty.String {
		return "", false
	}
	return v.AsString(), true
}
