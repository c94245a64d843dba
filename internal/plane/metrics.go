// SPDX-License-Identifier: MPL-2.0

package plane

import (
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/expfmt"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/traffic"
)

// metrics collects what one account's Workers do. Only versions that run have
// series, so their number is bounded by what the machine can run; a version that
// comes back within traffic.Retention goes on with its counts.
type metrics struct {
	versions []runningVersion
	info     [2]string // version of the program, of workerd
}

// runningVersion is a version with all its processes: while it is deployed again,
// an old one may be draining still.
type runningVersion struct {
	worker, version string
	ready           bool
	restarts        int
	totals          traffic.Totals
}

var (
	versionLabels = []string{"worker", "version"}
	outcomeLabels = []string{"worker", "version", "outcome"}

	infoDesc = prometheus.NewDesc("hybridge_plane_info",
		"The programs of this plane.", []string{"version", "workerd_version"}, nil)
	readyDesc = prometheus.NewDesc("hybridge_worker_version_ready",
		"1 if the version's process takes requests, 0 if it should.", versionLabels, nil)
	restartsDesc = prometheus.NewDesc("hybridge_worker_version_restarts_total",
		"How often the version's process ended and was started again.", versionLabels, nil)
	requestsDesc = prometheus.NewDesc("hybridge_worker_requests_total",
		"Requests that reached the version, by how they ended; without those to a preview URL or with a version override.", outcomeLabels, nil)
	markedDesc = prometheus.NewDesc("hybridge_worker_marked_requests_total",
		"Requests to the version's preview URL or with a version override, by how they ended.", outcomeLabels, nil)
	serverErrorsDesc = prometheus.NewDesc("hybridge_worker_server_errors_total",
		"Answers with a status of 500 or above; part of hybridge_worker_requests_total.", outcomeLabels, nil)
	durationDesc = prometheus.NewDesc("hybridge_worker_request_duration_seconds",
		"From a request's arrival to the end of its answer, or to the upgrade of a WebSocket.", versionLabels, nil)
)

// Describe implements prometheus.Collector.
func (m *metrics) Describe(to chan<- *prometheus.Desc) { prometheus.DescribeByCollect(m, to) }

// Collect implements prometheus.Collector.
func (m *metrics) Collect(to chan<- prometheus.Metric) {
	to <- prometheus.MustNewConstMetric(infoDesc, prometheus.GaugeValue, 1, m.info[:]...)
	for _, v := range m.versions {
		ready := 0.0
		if v.ready {
			ready = 1
		}
		to <- prometheus.MustNewConstMetric(readyDesc, prometheus.GaugeValue, ready, v.worker, v.version)
		to <- prometheus.MustNewConstMetric(restartsDesc, prometheus.CounterValue, float64(v.restarts), v.worker, v.version)
		var latencies traffic.Histogram
		for o := range v.totals.Outcomes {
			tally, outcome := &v.totals.Outcomes[o], traffic.Outcome(o).String()
			to <- prometheus.MustNewConstMetric(requestsDesc, prometheus.CounterValue, float64(tally.Requests), v.worker, v.version, outcome)
			to <- prometheus.MustNewConstMetric(serverErrorsDesc, prometheus.CounterValue, float64(tally.ServerErrors), v.worker, v.version, outcome)
			to <- prometheus.MustNewConstMetric(markedDesc, prometheus.CounterValue, float64(v.totals.Marked[o]), v.worker, v.version, outcome)
			for i, n := range tally.Latencies {
				latencies[i] += n
			}
		}
		to <- prometheus.MustNewConstHistogram(durationDesc, latencies.Count(), v.totals.Time.Seconds(), coarse(&latencies), v.worker, v.version)
	}
}

// coarse is a histogram as Prometheus wants it, cumulative, and with a bound for
// each doubling from a quarter of a millisecond to 17 seconds: 17 series a version instead of 368.
func coarse(h *traffic.Histogram) map[float64]uint64 {
	const slowest = 20 * time.Second
	buckets := map[float64]uint64{}
	var below uint64
	for i, n := range h {
		below += n
		if bound := traffic.UpperBound(i); i%traffic.SubBuckets == traffic.SubBuckets-1 && bound <= slowest {
			buckets[bound.Seconds()] = below
		}
	}
	return buckets
}

// running are the versions of an account that run or should.
func (p *Plane) running(a registry.Account, names map[string]string) []runningVersion {
	var list []runningVersion
	at := map[string]int{} // by version
	for _, s := range p.runtime.States() {
		name, ours := names[s.WorkerID]
		if !ours {
			continue
		}
		i, seen := at[s.VersionID]
		if !seen {
			i, at[s.VersionID] = len(list), len(list)
			list = append(list, runningVersion{
				worker: name, version: s.VersionID,
				totals: p.runtime.Traffic().Totals(traffic.Key{AccountID: a.ID, WorkerID: s.WorkerID, VersionID: s.VersionID}),
			})
		}
		list[i].ready = list[i].ready || s.State == "ready"
		list[i].restarts += s.Restarts
	}
	return list
}

// getMetrics answers in Prometheus' text format: the account's Workers, and this
// process.
func (p *Plane) getMetrics(r *request) (*reply, error) {
	names, err := p.workerNames(r.Context(), r.account.ID)
	if err != nil {
		return nil, err
	}
	reg := prometheus.NewPedanticRegistry() // of this request: what it shows depends on who asks
	for _, c := range []prometheus.Collector{
		&metrics{versions: p.running(r.account, names), info: [2]string{p.version, p.workerdVersion}},
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collectors.NewGoCollector(),
	} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("collecting metrics: %w", err)
		}
	}
	families, err := reg.Gather()
	if err != nil {
		return nil, fmt.Errorf("collecting metrics: %w", err)
	}
	format := expfmt.NewFormat(expfmt.TypeTextPlain)
	return (&reply{raw: func(w http.ResponseWriter) error {
		enc := expfmt.NewEncoder(w, format)
		for _, f := range families {
			if err := enc.Encode(f); err != nil {
				return err
			}
		}
		return nil
	}}).with("Content-Type", string(format)), nil
}
