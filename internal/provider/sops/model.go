// SPDX-License-Identifier: MPL-2.0

package sops

import (
	"context"
	"math"
	"math/big"
	"strconv"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

// model is an ephemeral resource hybridge_sops_file.
type model struct {
	File   types.String  `tfsdk:"file"`
	Key    types.String  `tfsdk:"key"`
	Format types.String  `tfsdk:"format"`
	Value  types.Dynamic `tfsdk:"value"`
	Text   types.String  `tfsdk:"text"`
}

// set fills in a value as sealed.Opened has it.
func (m *model) set(ctx context.Context, value any) {
	m.Value = types.DynamicValue(converted(ctx, value))
	m.Text = textOf(value)
}

// numberBits is the precision of Terraform's own numbers: with less, 0.1 from a
// file would not equal 0.1 in a configuration.
const numberBits = 512

// converted makes a Terraform value of Go's own types.
func converted(ctx context.Context, value any) attr.Value {
	switch v := value.(type) {
	case map[string]any:
		kinds, members := make(map[string]attr.Type, len(v)), make(map[string]attr.Value, len(v))
		for name, member := range v {
			members[name] = converted(ctx, member)
			kinds[name] = members[name].Type(ctx)
		}
		return types.ObjectValueMust(kinds, members)
	case []any:
		kinds, elements := make([]attr.Type, len(v)), make([]attr.Value, len(v))
		for i, element := range v {
			elements[i] = converted(ctx, element)
			kinds[i] = elements[i].Type(ctx)
		}
		return types.TupleValueMust(kinds, elements)
	case bool:
		return types.BoolValue(v)
	case int:
		return types.NumberValue(new(big.Float).SetInt64(int64(v)))
	case float64:
		if n, ok := number(v); ok {
			return types.NumberValue(n)
		}
	}
	return textOf(value)
}

// number is a decimal fraction as it was written.
func number(f float64) (*big.Float, bool) {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return nil, false
	}
	n, _, err := big.ParseFloat(strconv.FormatFloat(f, 'g', -1, 64), 10, numberBits, big.ToNearestEven)
	return n, err == nil
}

// textOf is a single value as text; null for anything else.
func textOf(value any) types.String {
	switch v := value.(type) {
	case string:
		return types.StringValue(v)
	case bool:
		return types.StringValue(strconv.FormatBool(v))
	case int:
		return types.StringValue(strconv.Itoa(v))
	case float64:
		return types.StringValue(strconv.FormatFloat(v, 'f', -1, 64))
	default:
		return types.StringNull()
	}
}
