// SPDX-License-Identifier: MPL-2.0

package deployment_test

import (
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"

	"github.com/hybridge/terraform-provider-hybridge/internal/provider/acctest"
)

// TestTheNumberOfRequestsIsWhatItHasToBe counts the requests of a real CLI for N
// Workers, each with a version and a deployment. A plan needs one request per
// Worker, because there is no list of all deployments, and three more; the first
// apply one per object; an apply of new versions the look for a version to adopt,
// an upload and a deployment each, the Workers' names, and once what the plane can.
func TestTheNumberOfRequestsIsWhatItHasToBe(t *testing.T) {
	t.Parallel()
	const (
		n          = 12
		plan       = n + 3
		firstApply = 3 * n
		newVersion = 3*n + 4
	)
	s := newPlaneOnly(t)
	config := `
resource "hybridge_worker" "w" {
  count = 12
  name  = "w${count.index}"
}

resource "hybridge_worker_version" "w" {
  count              = 12
  worker             = hybridge_worker.w[count.index].id
  compatibility_date = "2026-01-01"
  script             = "export default { fetch() { return new Response('TEXT') } }"

  lifecycle {
    create_before_destroy = true
  }
}

resource "hybridge_worker_deployment" "w" {
  count      = 12
  worker     = hybridge_worker.w[count.index].name
  version_id = hybridge_worker_version.w[count.index].id
}
`
	counted := func(what string, want int) {
		t.Helper()
		if got := len(s.Faults.Requests()); got != want {
			t.Errorf("%s: %d requests, want %d", what, got, want)
		}
	}
	changed := strings.ReplaceAll(config, "TEXT", "two")
	// The harness adds a plan after each apply, to see that it is empty.
	acctest.Terraform(t, s.Env, resource.TestCase{Steps: []resource.TestStep{
		{Config: config},
		{Config: config, PlanOnly: true, PreConfig: func() { counted("first apply and a plan", firstApply+plan) }},
		{Config: changed, PreConfig: func() { counted("plan without changes", plan) }},
		{Config: changed, PlanOnly: true, PreConfig: func() { counted("plan and apply of new versions, and a plan", plan+newVersion+plan) }},
	}})
}
