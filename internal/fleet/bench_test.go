// SPDX-License-Identifier: MPL-2.0

package fleet_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/hybridge/terraform-provider-hybridge/internal/fleet"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/ingress"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/workerd"
	"github.com/hybridge/terraform-provider-hybridge/internal/workerdtest"
)

// BenchmarkUploadToFirstAnswer validates a version, deploys it and requests it.
func BenchmarkUploadToFirstAnswer(b *testing.B) {
	for name, size := range map[string]int{"83B": 0, "120KB": 120 << 10, "400KB": 400 << 10} {
		b.Run(name, func(b *testing.B) {
			router := ingress.New(hclog.NewNullLogger())
			f, err := fleet.New(fleet.Config{Workerd: workerdtest.Path(b), SocketDir: workerdtest.SocketDir(b), Router: router,
				Logger: hclog.NewNullLogger(), Limits: fleet.Limits{WaitUntil: time.Millisecond}})
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close(b.Context())
			server := httptest.NewServer(router)
			defer server.Close()
			var source strings.Builder
			source.WriteString(workerdtest.Answer("ok"))
			for i := 0; source.Len() < size; i++ {
				fmt.Fprintf(&source, "function f%d(a) { return a + %[1]d * Math.sqrt(a); }\n", i)
			}
			var took []time.Duration
			for b.Loop() {
				v := workerdtest.Script(b, "bench", source.String())
				began := time.Now()
				found, err := f.Validate(b.Context(), v)
				if err != nil {
					b.Fatal(err)
				}
				v.Entrypoints = found.Entrypoints
				if err := f.Apply(b.Context(), workerdtest.Worker(v), []workerd.Version{v}); err != nil {
					b.Fatal(err)
				}
				req, _ := http.NewRequestWithContext(b.Context(), http.MethodGet, server.URL, nil)
				req.Host = workerdtest.Host("bench")
				res, err := http.DefaultClient.Do(req)
				if err != nil {
					b.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, res.Body)
				res.Body.Close()
				took = append(took, time.Since(began))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "median-ms")
		})
	}
}
