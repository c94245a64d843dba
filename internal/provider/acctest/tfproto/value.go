// SPDX-License-Identifier: MPL-2.0

package tfproto

import (
	"fmt"
	"math/big"
	"reflect"
	"slices"
	"strings"

	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

// Unknown stands for a value that is only known after apply.
var Unknown = unknown{}

type unknown struct{}

// String shows the value in test failures as Terraform does.
func (unknown) String() string { return "(known after apply)" }

// encode makes a Terraform value of type t from plain Go: nil, bool, string,
// numbers, slices, map[string]any and Unknown. Members that a map lacks are null.
func encode(t tftypes.Type, v any) (tftypes.Value, error) {
	switch v.(type) {
	case nil:
		return tftypes.NewValue(t, nil), nil
	case unknown:
		return tftypes.NewValue(t, tftypes.UnknownValue), nil
	}
	if t.Is(tftypes.DynamicPseudoType) {
		return encode(literal(v), v)
	}
	switch t := t.(type) {
	case tftypes.Object:
		return encodeObject(t, v)
	case tftypes.Map:
		in, ok := v.(map[string]any)
		if !ok {
			return tftypes.Value{}, fmt.Errorf("%T is not a map", v)
		}
		out := make(map[string]tftypes.Value, len(in))
		for name, member := range in {
			e, err := encode(t.ElementType, member)
			if err != nil {
				return tftypes.Value{}, fmt.Errorf("%s: %w", name, err)
			}
			out[name] = e
		}
		return tftypes.NewValue(t, out), nil
	case tftypes.List:
		return encodeSequence(t, t.ElementType, v)
	case tftypes.Set:
		return encodeSequence(t, t.ElementType, v)
	case tftypes.Tuple:
		return encodeTuple(t, v)
	}
	if n, ok := number(v); ok {
		v = n
	}
	if err := tftypes.ValidateValue(t, v); err != nil {
		return tftypes.Value{}, err
	}
	return tftypes.NewValue(t, v), nil
}

// literal is the type that HCL gives an expression: objects and tuples, never maps and lists.
func literal(v any) tftypes.Type {
	switch v := v.(type) {
	case map[string]any:
		members := make(map[string]tftypes.Type, len(v))
		for name, member := range v {
			members[name] = literal(member)
		}
		return tftypes.Object{AttributeTypes: members}
	case []any:
		elements := make([]tftypes.Type, len(v))
		for i, element := range v {
			elements[i] = literal(element)
		}
		return tftypes.Tuple{ElementTypes: elements}
	case string:
		return tftypes.String
	case bool:
		return tftypes.Bool
	case nil, unknown:
		return tftypes.DynamicPseudoType
	default:
		return tftypes.Number
	}
}

func encodeTuple(t tftypes.Tuple, v any) (tftypes.Value, error) {
	in, ok := v.([]any)
	if !ok || len(in) != len(t.ElementTypes) {
		return tftypes.Value{}, fmt.Errorf("%T is not a tuple of %d", v, len(t.ElementTypes))
	}
	out := make([]tftypes.Value, len(in))
	for i, element := range in {
		e, err := encode(t.ElementTypes[i], element)
		if err != nil {
			return tftypes.Value{}, fmt.Errorf("[%d]: %w", i, err)
		}
		out[i] = e
	}
	return tftypes.NewValue(t, out), nil
}

func encodeObject(t tftypes.Object, v any) (tftypes.Value, error) {
	in, ok := v.(map[string]any)
	if !ok {
		return tftypes.Value{}, fmt.Errorf("%T is not an object", v)
	}
	for name := range in {
		if _, ok := t.AttributeTypes[name]; !ok {
			return tftypes.Value{}, fmt.Errorf("there is no attribute %q", name)
		}
	}
	out := make(map[string]tftypes.Value, len(t.AttributeTypes))
	for name, member := range t.AttributeTypes {
		e, err := encode(member, in[name])
		if err != nil {
			return tftypes.Value{}, fmt.Errorf("%s: %w", name, err)
		}
		out[name] = e
	}
	return tftypes.NewValue(t, out), nil
}

func encodeSequence(t, element tftypes.Type, v any) (tftypes.Value, error) {
	in := reflect.ValueOf(v)
	if in.Kind() != reflect.Slice {
		return tftypes.Value{}, fmt.Errorf("%T is not a slice", v)
	}
	out := make([]tftypes.Value, in.Len())
	for i := range out {
		e, err := encode(element, in.Index(i).Interface())
		if err != nil {
			return tftypes.Value{}, fmt.Errorf("element %d: %w", i, err)
		}
		out[i] = e
	}
	return tftypes.NewValue(t, out), nil
}

func number(v any) (*big.Float, bool) {
	switch n := v.(type) {
	case int:
		return new(big.Float).SetInt64(int64(n)), true
	case int64:
		return new(big.Float).SetInt64(n), true
	case float64:
		return new(big.Float).SetFloat64(n), true
	}
	return nil, false
}

// decode is the inverse of encode; numbers come back as float64, and members
// that are null as nil. It MUST get a value that came from encode or a provider.
func decode(v tftypes.Value) any {
	switch {
	case v.IsNull():
		return nil
	case !v.IsKnown():
		return Unknown
	}
	switch t := v.Type().(type) {
	case tftypes.Object, tftypes.Map:
		members := map[string]tftypes.Value{}
		must(v.As(&members))
		out := make(map[string]any, len(members))
		for name, member := range members {
			out[name] = decode(member)
		}
		return out
	case tftypes.List, tftypes.Set, tftypes.Tuple:
		var elements []tftypes.Value
		must(v.As(&elements))
		out := make([]any, len(elements))
		for i, e := range elements {
			out[i] = decode(e)
		}
		if _, ok := t.(tftypes.Set); ok { // in one order, so that equal sets are equal
			slices.SortFunc(out, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		}
		return out
	default:
		return decodeScalar(v, t)
	}
}

func decodeScalar(v tftypes.Value, t tftypes.Type) any {
	switch {
	case t.Is(tftypes.Bool):
		var b bool
		must(v.As(&b))
		return b
	case t.Is(tftypes.Number):
		var n big.Float
		must(v.As(&n))
		f, _ := n.Float64()
		return f
	default:
		var s string
		must(v.As(&s))
		return s
	}
}

func must(err error) {
	if err != nil {
		panic(fmt.Sprintf("decoding a value of the provider: %v", err))
	}
}
