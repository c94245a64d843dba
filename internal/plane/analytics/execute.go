// SPDX-License-Identifier: MPL-2.0

package analytics

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
)

// execution is one operation that is being answered.
type execution struct {
	src       Source
	variables map[string]any
	datasets  int
}

// object is a JSON object that keeps the order in which its members were asked for.
type object []member

type member struct {
	name  string
	value any
}

// MarshalJSON implements json.Marshaler.
func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		value, err := json.Marshal(m.value)
		if err != nil {
			return nil, err
		}
		b.WriteString(`"` + m.name + `":`) // a GraphQL name: letters, digits and _
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// begin finds the operation to answer and the values of its variables.
func begin(doc *ast.QueryDocument, req Request, src Source) (*execution, *ast.OperationDefinition, error) {
	op := doc.Operations.ForName(req.OperationName)
	switch {
	case op == nil && req.OperationName == "":
		return nil, nil, refuse(http.StatusBadRequest, "the query has several operations: operationName must say which one to answer")
	case op == nil:
		return nil, nil, refuse(http.StatusBadRequest, "the query has no operation %q", req.OperationName)
	case op.Operation != ast.Query:
		return nil, nil, refuse(http.StatusBadRequest, "operations other than queries are not answered")
	}
	x := &execution{src: src, variables: map[string]any{}}
	for _, v := range op.VariableDefinitions {
		value, given := req.Variables[v.Variable]
		if !given && v.DefaultValue != nil {
			var err error
			if value, err = v.DefaultValue.Value(nil); err != nil {
				return nil, nil, badArgs("the default of $%s: %v", v.Variable, err)
			}
			given = true
		}
		if v.Type.NonNull && value == nil {
			return nil, nil, badArgs("the variable $%s must be given", v.Variable)
		}
		if given {
			x.variables[v.Variable] = value
		}
	}
	return x, op, nil
}

// argument is the value of a field's argument; nil if it is absent or null.
func (x *execution) argument(f *ast.Field, name string) (any, error) {
	return x.value(f.Arguments.ForName(name))
}

func (x *execution) value(a *ast.Argument) (any, error) {
	if a == nil {
		return nil, nil
	}
	v, err := a.Value.Value(x.variables)
	if err != nil {
		return nil, badArgs("%s: %v", a.Name, err)
	}
	return v, nil
}

// field is what a selection asks for under one name in the answer.
type field struct {
	*ast.Field
	selections ast.SelectionSet // of all fields that share the name
}

// fields collects a selection set: fragments and inline fragments taken apart,
// @skip and @include obeyed, fields of one name merged. Validation has made sure
// that these agree. Each fragment is entered once, so the work is no more than the
// query is long.
func (x *execution) fields(set ast.SelectionSet) ([]*field, error) {
	var list []*field
	entered := map[string]bool{}
	var collect func(ast.SelectionSet) error
	collect = func(set ast.SelectionSet) error {
		for _, s := range set {
			switch s := s.(type) {
			case *ast.Field:
				if skip, err := x.skipped(s.Directives); skip || err != nil {
					if err != nil {
						return err
					}
					continue
				}
				if i := slices.IndexFunc(list, func(f *field) bool { return f.Alias == s.Alias }); i >= 0 {
					list[i].selections = append(list[i].selections, s.SelectionSet...)
					continue
				}
				list = append(list, &field{s, slices.Clone(s.SelectionSet)})
			case *ast.InlineFragment:
				if skip, err := x.skipped(s.Directives); skip || err != nil {
					if err != nil {
						return err
					}
					continue
				}
				if err := collect(s.SelectionSet); err != nil {
					return err
				}
			case *ast.FragmentSpread:
				skip, err := x.skipped(s.Directives)
				if err != nil {
					return err
				}
				if skip || entered[s.Name] || s.Definition == nil {
					continue
				}
				entered[s.Name] = true
				if err := collect(s.Definition.SelectionSet); err != nil {
					return err
				}
			}
		}
		return nil
	}
	return list, collect(set)
}

func (x *execution) skipped(directives ast.DirectiveList) (bool, error) {
	for _, d := range directives {
		v, err := x.value(d.Arguments.ForName("if"))
		if err != nil {
			return false, err
		}
		if on, ok := v.(bool); d.Name == "skip" && ok && on || d.Name == "include" && ok && !on {
			return true, nil
		}
	}
	return false, nil
}

// resolve makes the object that a selection set of type typ asks for. value gives
// that of each field but __typename.
func (x *execution) resolve(set ast.SelectionSet, typ string, value func(*field) (any, error)) (object, error) {
	fields, err := x.fields(set)
	if err != nil {
		return nil, err
	}
	out := make(object, 0, len(fields))
	for _, f := range fields {
		var v any = typ
		if f.Name != "__typename" {
			if v, err = value(f); err != nil {
				return nil, err
			}
		}
		out = append(out, member{f.Alias, v})
	}
	return out, nil
}

func (x *execution) query(op *ast.OperationDefinition) (object, error) {
	return x.resolve(op.SelectionSet, "Query", func(f *field) (any, error) {
		if f.Name != "viewer" {
			return nil, refuse(http.StatusBadRequest, "%s is not answered: a self-hosted plane has no introspection", f.Name)
		}
		return x.resolve(f.selections, "viewer", func(f *field) (any, error) { return x.accounts(f) })
	})
}

func (x *execution) accounts(f *field) (any, error) {
	filter, err := x.argument(f.Field, "filter")
	if err != nil {
		return nil, err
	}
	given, ok := filter.(map[string]any)
	if !ok {
		return nil, badArgs("filter: it must be an object with accountTag")
	}
	var tags []string
	for name, v := range given {
		list := []any{v}
		if l, isList := v.([]any); isList && name == "accountTag_in" {
			list = l
		} else if name != "accountTag" {
			return nil, badArgs("filter: %q is not known; accountTag is", name)
		}
		for _, v := range list {
			tag, ok := v.(string)
			if !ok {
				return nil, badArgs("filter: accountTag must be a string")
			}
			tags = append(tags, tag)
		}
	}
	if len(tags) == 0 {
		return nil, badArgs("filter: accountTag is missing")
	}
	if slices.ContainsFunc(tags, func(tag string) bool { return !strings.EqualFold(tag, x.src.AccountID) }) {
		// The same for accounts that exist and that do not.
		e := refuse(http.StatusForbidden, "not authorized for that account")
		e.Path = ast.Path{ast.PathName("viewer"), ast.PathName(f.Alias)}
		e.Extensions = map[string]any{"code": "authz"}
		return nil, e
	}
	account, err := x.resolve(f.selections, "account", func(f *field) (any, error) { return x.invocations(f) })
	if err != nil {
		return nil, err
	}
	return []object{account}, nil
}
