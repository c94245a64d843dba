// SPDX-License-Identifier: MPL-2.0

package analytics

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/traffic"
)

// quantileOf are the fields of quantiles.
var quantileOf = map[string]float64{
	"wallTimeP25": .25, "wallTimeP50": .5, "wallTimeP75": .75, "wallTimeP90": .9,
	"wallTimeP95": .95, "wallTimeP99": .99, "wallTimeP999": .999,
}

// sumOf are the fields of sum.
var sumOf = map[string]func(*row) uint64{
	"requests":             func(r *row) uint64 { return r.Requests },
	"errors":               func(r *row) uint64 { return r.errors },
	"clientDisconnects":    func(r *row) uint64 { return r.disconnects },
	"hybridgeServerErrors": func(r *row) uint64 { return r.ServerErrors },
}

// row is one row of the answer.
type row struct {
	traffic.Tally
	errors, disconnects uint64
	values              []string // of the dimensions
}

func tooOld() *Error {
	return refuse(http.StatusBadRequest, "cannot request data older than %ds", int(traffic.Retention.Seconds()))
}

// invocations answers workersInvocationsAdaptive.
func (x *execution) invocations(f *field) (any, error) {
	if x.datasets++; x.datasets > maxDatasets {
		return nil, refuse(http.StatusBadRequest, "number of datasets can't be more than %d", maxDatasets)
	}
	limit, err := x.limit(f)
	if err != nil {
		return nil, err
	}
	filter, err := x.argument(f.Field, "filter")
	if err != nil {
		return nil, err
	}
	matches, err := filterReader{x.src.Now}.read(filter)
	if err != nil {
		return nil, err
	}
	dimensions, err := x.dimensions(f)
	if err != nil {
		return nil, err
	}
	less, err := x.order(f, dimensions)
	if err != nil {
		return nil, err
	}
	rows, err := x.rows(dimensions, matches)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(rows, less)
	out := make([]object, 0, min(len(rows), limit))
	for _, r := range rows[:min(len(rows), limit)] {
		o, err := x.resolve(f.selections, "AccountWorkersInvocationsAdaptive", func(f *field) (any, error) { return x.part(f, r, dimensions) })
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, nil
}

func (x *execution) limit(f *field) (int, error) {
	v, err := x.argument(f.Field, "limit")
	if err != nil {
		return 0, err
	}
	n := math.NaN()
	switch v := v.(type) {
	case int64: // a literal
		n = float64(v)
	case float64: // a variable
		n = v
	}
	if !(n >= 1 && n <= maxRows) || n != math.Trunc(n) {
		return 0, refuse(http.StatusBadRequest, "limit must be positive number and not greater than %d", maxRows)
	}
	return int(n), nil
}

// dimensions are those that are asked for, by which the rows are grouped.
func (x *execution) dimensions(f *field) (names []string, err error) {
	parts, err := x.fields(f.selections)
	if err != nil {
		return nil, err
	}
	for _, part := range parts {
		if part.Name != "dimensions" {
			continue
		}
		fields, err := x.fields(part.selections)
		if err != nil {
			return nil, err
		}
		for _, d := range fields {
			if d.Name != "__typename" && !slices.Contains(names, d.Name) {
				names = append(names, d.Name)
			}
		}
	}
	return names, nil
}

// dimensionValue is a point's value of a dimension. Times are written so that their
// order is that of the texts.
func dimensionValue(p *point, name string) string {
	if text := textDimensions[name]; text != nil {
		return text(p)
	}
	unit := timeDimensions[name]
	if unit == day {
		return p.at.Format(time.DateOnly)
	}
	return p.at.Truncate(unit).Format(time.RFC3339)
}

// order reads orderBy. Where it leaves rows equal, their dimensions decide: the
// same question gets the same answer.
func (x *execution) order(f *field, dimensions []string) (func(a, b *row) int, error) {
	arg, err := x.argument(f.Field, "orderBy")
	if err != nil {
		return nil, err
	}
	list, ok := arg.([]any)
	if !ok && arg != nil {
		list = []any{arg} // as GraphQL coerces
	}
	var by []func(a, b *row) int
	for _, v := range list {
		text := fmt.Sprint(v)
		name, descending := strings.CutSuffix(text, "_DESC")
		name = strings.TrimSuffix(name, "_ASC")
		var compare func(a, b *row) int
		i := slices.Index(dimensions, name)
		switch sum := sumOf[strings.TrimPrefix(name, "sum_")]; {
		case i >= 0:
			compare = func(a, b *row) int { return cmp.Compare(a.values[i], b.values[i]) }
		case strings.HasPrefix(name, "sum_") && sum != nil:
			compare = func(a, b *row) int { return cmp.Compare(sum(a), sum(b)) }
		default:
			return nil, badArgs("orderBy: %q is not among the dimensions that are asked for", text)
		}
		if descending {
			ascending := compare
			compare = func(a, b *row) int { return ascending(b, a) }
		}
		by = append(by, compare)
	}
	return func(a, b *row) int {
		for _, compare := range by {
			if c := compare(a, b); c != 0 {
				return c
			}
		}
		return slices.Compare(a.values, b.values)
	}, nil
}

// rows groups what matches by the dimensions. Each group weighs 3 kB, so their
// number is bounded.
func (x *execution) rows(dimensions []string, matches condition) ([]*row, error) {
	groups := map[string]*row{}
	var tallies [traffic.NumOutcomes]traffic.Tally // empty between slices
	tooMany := false
	want := func(k traffic.Key) bool {
		_, ours := x.src.Workers[k.WorkerID]
		return ours && k.AccountID == x.src.AccountID
	}
	x.src.Traffic.Each(want, func(s traffic.Slice) {
		var rows [traffic.NumOutcomes]*row
		s.Add(func(o traffic.Outcome) *traffic.Tally {
			p := point{name: x.src.Workers[s.Key.WorkerID], version: s.Key.VersionID, at: s.At, outcome: o}
			if !matches(&p) {
				return nil
			}
			values := make([]string, len(dimensions))
			for i, d := range dimensions {
				values[i] = dimensionValue(&p, d)
			}
			key := strings.Join(values, "\x00")
			if groups[key] == nil {
				if len(groups) == maxRows {
					tooMany = true
					return nil
				}
				groups[key] = &row{values: values}
			}
			rows[o] = groups[key]
			return &tallies[o]
		})
		for o, r := range rows {
			if r != nil {
				r.add(traffic.Outcome(o), &tallies[o])
				tallies[o] = traffic.Tally{}
			}
		}
	})
	if tooMany {
		return nil, refuse(http.StatusBadRequest, "limit reached, please try reduced time period: there are more than %d rows", maxRows)
	}
	return slices.Collect(maps.Values(groups)), nil
}

func (r *row) add(o traffic.Outcome, t *traffic.Tally) {
	r.Add(t)
	if o.Failed() {
		r.errors += t.Requests
	}
	if o == traffic.ClientDisconnected {
		r.disconnects += t.Requests
	}
}

// part answers avg, dimensions, quantiles or sum of a row.
func (x *execution) part(f *field, r *row, dimensions []string) (any, error) {
	return x.resolve(f.selections, f.Definition.Type.Name(), func(leaf *field) (any, error) {
		switch f.Name {
		case "dimensions":
			return r.values[slices.Index(dimensions, leaf.Name)], nil
		case "quantiles":
			return micros(r.Latencies.Quantile(quantileOf[leaf.Name])), nil
		case "sum":
			return sumOf[leaf.Name](r), nil
		}
		return 1, nil // avg.sampleInterval
	})
}

// micros is a duration in the unit of the edge's wallTime.
func micros(d time.Duration) json.Number {
	return json.Number(fmt.Sprintf("%.0f", float64(d)/float64(time.Microsecond)))
}
