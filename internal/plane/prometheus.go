// SPDX-License-Identifier: MPL-2.0

package plane

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/ingress"
)

// getMetrics answers in the format of Prometheus. It needs a token like everything that
// names Workers, which Prometheus sends with `authorization` in its configuration.
func (p *Plane) getMetrics(r *request) (*reply, error) {
	workers, err := p.reg.Workers(r.Context(), r.token.AccountID)
	if err != nil {
		return nil, err
	}
	ours := map[string]bool{}
	for _, w := range workers {
		ours[w.ID] = true
	}
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(scrape{p, ours}); err != nil {
		return nil, err
	}
	families, err := registry.Gather()
	if err != nil {
		return nil, err
	}
	format := expfmt.NewFormat(expfmt.TypeTextPlain)
	answer := &reply{raw: func(w http.ResponseWriter) error {
		encoder := expfmt.NewEncoder(w, format)
		for _, f := range families {
			if err := encoder.Encode(f); err != nil {
				return err
			}
		}
		return nil
	}}
	return answer.with("Content-Type", string(format)), nil
}

var (
	versionLabels = []string{"worker", "version"}
	requestsTotal = prometheus.NewDesc("hybridge_worker_requests_total", "Invocations of a live version, by outcome.", append(versionLabels, "outcome"), nil)
	serverErrors  = prometheus.NewDesc("hybridge_worker_server_errors_total", "Answers of a live version with a status of 500 or above.", versionLabels, nil)
	wallTime      = prometheus.NewDesc("hybridge_worker_wall_time_seconds", "Wall time of the invocations of a live version.", versionLabels, nil)
	inFlight      = prometheus.NewDesc("hybridge_worker_requests_in_flight", "Requests and upgraded connections that a live version has now.", versionLabels, nil)
	planeInfo     = prometheus.NewDesc("hybridge_plane_info", "Always 1.", []string{"version", "workerd_version"}, nil)
)

// wallTimeBounds are the upper bounds of the exported histogram, in seconds.
var wallTimeBounds = []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30}

// scrape collects once, for one account. There is a series for what is live, and no more.
type scrape struct {
	plane *Plane
	ours  map[string]bool // Worker ids
}

// Describe implements prometheus.Collector.
func (s scrape) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{requestsTotal, serverErrors, wallTime, inFlight, planeInfo} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (s scrape) Collect(to chan<- prometheus.Metric) {
	to <- prometheus.MustNewConstMetric(planeInfo, prometheus.GaugeValue, 1, s.plane.version, s.plane.workerdVersion)
	if s.plane.metrics == nil {
		return
	}
	s.plane.metrics.Live(func(t *ingress.Target) {
		if !s.ours[t.WorkerID()] {
			return
		}
		c := t.Stats().Counts()
		for o, n := range c.Outcomes {
			to <- prometheus.MustNewConstMetric(requestsTotal, prometheus.CounterValue, float64(n), t.WorkerName(), t.VersionID(), ingress.Outcome(o).String())
		}
		to <- prometheus.MustNewConstMetric(serverErrors, prometheus.CounterValue, float64(c.ServerErrors), t.WorkerName(), t.VersionID())
		to <- prometheus.MustNewConstMetric(inFlight, prometheus.GaugeValue, float64(t.InFlight()), t.WorkerName(), t.VersionID())
		buckets := make(map[float64]uint64, len(wallTimeBounds))
		for _, bound := range wallTimeBounds {
			buckets[bound] = 0
		}
		c.EachBin(func(upTo time.Duration, n uint64) {
			for _, bound := range wallTimeBounds {
				if upTo.Seconds() <= bound*1.125 { // a bucket of ours that lies across is as good as below
					buckets[bound] += n
				}
			}
		})
		to <- prometheus.MustNewConstHistogram(wallTime, c.Requests(), c.Total().Seconds(), buckets, t.WorkerName(), t.VersionID())
	})
}
