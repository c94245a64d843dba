// SPDX-License-Identifier: MPL-2.0

package analytics

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/traffic"
)

const (
	account = "0123456789abcdef0123456789abcdef"
	other   = "fedcba9876543210fedcba9876543210"
	oldID   = "11111111-1111-4111-8111-111111111111"
	newID   = "22222222-2222-4222-8222-222222222222"
	webID   = "33333333-3333-4333-8333-333333333333"
)

var start = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// history is ten seconds of two Workers, api with an old and a new version and web
// with one, and of a Worker of another account. It ends at start + 10 s.
//
// In each second api's old version answers 9 requests in 10 ms, and its new one 4 in
// 100 ms, throws once after 300 ms, breaks off once, and returns a 503 on purpose once.
func history(t testing.TB) Source {
	t.Helper()
	now := start
	r := traffic.NewRecorder(func() time.Time { return now })
	open := func(account, worker, version string) *traffic.Counters {
		return r.Open(traffic.Key{AccountID: account, WorkerID: worker, VersionID: version})
	}
	before, after := open(account, "api-id", oldID), open(account, "api-id", newID)
	web, foreign, gone := open(account, "web-id", webID), open(other, "their-id", "their-version"), open(account, "deleted-id", "v")
	for range 10 {
		for range 9 {
			before.Observe(traffic.Success, 200, 10*time.Millisecond)
		}
		for range 4 {
			after.Observe(traffic.Success, 200, 100*time.Millisecond)
		}
		after.Observe(traffic.ScriptThrew, 500, 300*time.Millisecond)
		after.Observe(traffic.InternalError, 502, time.Second)
		after.Observe(traffic.Success, 503, 100*time.Millisecond)
		after.ObserveMarked(traffic.ScriptThrew)
		web.Observe(traffic.ClientDisconnected, 499, time.Millisecond)
		foreign.Observe(traffic.ScriptThrew, 500, time.Millisecond)
		gone.Observe(traffic.ScriptThrew, 500, time.Millisecond)
		now = now.Add(time.Second)
		r.Sample()
	}
	return Source{AccountID: account, Workers: map[string]string{"api-id": "api", "web-id": "web"}, Traffic: r, Now: now}
}

// ask answers a query from src as it goes over the wire.
func ask(t testing.TB, src Source, query string, variables map[string]any) (answer string, status int) {
	t.Helper()
	s, err := NewSchema()
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		t.Fatal(err)
	}
	response, status := s.Answer(body, src)
	raw, err := json.Marshal(response)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw), status
}

// The query that the client's metrics gates ask, on the edge and here.
const gateQuery = `query Gate($account: string!, $script: string!, $version: string!, $from: Time!, $to: Time!) {
  viewer { accounts(filter: {accountTag: $account}) {
    workersInvocationsAdaptive(limit: 10000, filter: {scriptName: $script, scriptVersion: $version, datetime_geq: $from, datetime_leq: $to}) {
      dimensions { status } sum { requests errors hybridgeServerErrors } quantiles { wallTimeP99 } } } } }`

func gate(version string, from, to time.Time) map[string]any {
	return map[string]any{
		"account": account, "script": "api", "version": version,
		"from": from.Format(time.RFC3339Nano), "to": to.Format(time.RFC3339Nano),
	}
}

func TestAGateAsksAboutOneVersionInTheTimeOfItsStep(t *testing.T) {
	t.Parallel()
	src := history(t)
	answer, status := ask(t, src, gateQuery, gate(newID, start.Add(5*time.Second), src.Now))
	want := `{"data":{"viewer":{"accounts":[{"workersInvocationsAdaptive":[` +
		`{"dimensions":{"status":"internalError"},"sum":{"requests":5,"errors":5,"hybridgeServerErrors":5},"quantiles":{"wallTimeP99":1015480}},` +
		`{"dimensions":{"status":"scriptThrewException"},"sum":{"requests":5,"errors":5,"hybridgeServerErrors":5},"quantiles":{"wallTimeP99":311132}},` +
		`{"dimensions":{"status":"success"},"sum":{"requests":25,"errors":0,"hybridgeServerErrors":5},"quantiles":{"wallTimeP99":102359}}` +
		`]}]}},"errors":null}`
	if answer != want || status != http.StatusOK {
		t.Errorf("%d (-want +got):\n%s", status, cmp.Diff(want, answer))
	}
	if answer, _ := ask(t, src, gateQuery, gate(newID, src.Now.Add(time.Second), src.Now.Add(time.Minute))); !strings.Contains(answer, `"workersInvocationsAdaptive":[]`) {
		t.Errorf("a time without traffic: %s", answer)
	}
}

// rows asks for one dataset and gives its rows.
func rows(t testing.TB, src Source, args, selection string) string {
	t.Helper()
	answer, status := ask(t, src, `{viewer{accounts(filter:{accountTag:"`+account+`"}){workersInvocationsAdaptive(`+args+`)`+selection+`}}}`, nil)
	got, ok := strings.CutPrefix(answer, `{"data":{"viewer":{"accounts":[{"workersInvocationsAdaptive":`)
	if !ok || status != http.StatusOK {
		t.Fatalf("%d %s", status, answer)
	}
	return strings.TrimSuffix(got, `}]}},"errors":null}`)
}

func TestWhatIsAskedForIsWhatIsAnswered(t *testing.T) {
	t.Parallel()
	src := history(t)
	for name, c := range map[string]struct{ args, selection, want string }{
		"no dimension: one row": {`limit:10`, `{sum{requests errors clientDisconnects}}`, `[{"sum":{"requests":170,"errors":20,"clientDisconnects":10}}]`},
		"by Worker and version": {`limit:10`, `{dimensions{scriptName scriptVersion}sum{requests}}`, `[` +
			`{"dimensions":{"scriptName":"api","scriptVersion":"` + oldID + `"},"sum":{"requests":90}},` +
			`{"dimensions":{"scriptName":"api","scriptVersion":"` + newID + `"},"sum":{"requests":70}},` +
			`{"dimensions":{"scriptName":"web","scriptVersion":"` + webID + `"},"sum":{"requests":10}}]`},
		"order and limit": {`limit:1,orderBy:[sum_errors_DESC]`, `{dimensions{scriptVersion}sum{errors}}`,
			`[{"dimensions":{"scriptVersion":"` + newID + `"},"sum":{"errors":20}}]`},
		"over time": {`limit:2,orderBy:[datetime_DESC],filter:{scriptName:"web"}`, `{dimensions{datetime}sum{requests}}`,
			`[{"dimensions":{"datetime":"2026-11-25T12:00:09Z"},"sum":{"requests":1}},{"dimensions":{"datetime":"2026-11-25T12:00:08Z"},"sum":{"requests":1}}]`},
		"coarser time": {`limit:9,filter:{scriptName:"web"}`, `{dimensions{date datetimeHour datetimeFifteenMinutes datetimeFiveMinutes datetimeMinute}avg{sampleInterval}}`,
			`[{"dimensions":{"date":"2026-11-25","datetimeHour":"2026-11-25T12:00:00Z","datetimeFifteenMinutes":"2026-11-25T12:00:00Z",` +
				`"datetimeFiveMinutes":"2026-11-25T12:00:00Z","datetimeMinute":"2026-11-25T12:00:00Z"},"avg":{"sampleInterval":1}}]`},
		"lists and negation": {`limit:9,filter:{scriptName_neq:"web",scriptVersion_notin:["` + oldID + `"],status_in:["success","internalError"]}`, `{sum{requests}}`, `[{"sum":{"requests":60}}]`},
		"alternatives":       {`limit:9,filter:{OR:[{scriptName:"web"},{AND:[{status:"internalError"},{datetime_lt:"2026-11-25T12:00:03Z"}]}]}`, `{sum{requests}}`, `[{"sum":{"requests":13}}]`},
		"aliases":            {`limit:1,filter:{scriptName:"web"}`, `{a:sum{n:requests}__typename b:sum{__typename}}`, `[{"a":{"n":10},"__typename":"AccountWorkersInvocationsAdaptive","b":{"__typename":"AccountWorkersInvocationsAdaptiveSum"}}]`},
		"a field left out":   {`limit:1,filter:{scriptName:"web"}`, `{sum{requests @skip(if:true) errors @include(if:true)}dimensions @include(if:false){status}}`, `[{"sum":{"errors":0}}]`},
		"fragments":          {`limit:1,filter:{scriptName:"web"}`, `{...on AccountWorkersInvocationsAdaptive{sum{requests}}sum{errors}}`, `[{"sum":{"requests":10,"errors":0}}]`},
	} {
		if got := rows(t, src, c.args, c.selection); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, c.want)
		}
	}
}

func TestVariablesOfTheEdgesClientsAreTaken(t *testing.T) {
	t.Parallel()
	src := history(t)
	// As in Cloudflare's tutorial, in its dashboard, and as others write it.
	for _, query := range []string{
		`query($a: string, $filter: AccountWorkersInvocationsAdaptiveFilter_InputObject, $n: Int = 3) {viewer{accounts(filter:{accountTag:$a}){workersInvocationsAdaptive(limit:$n,filter:$filter){sum{requests}}}}}`,
		`query Q($a: String!, $filter: AccountWorkersInvocationsAdaptiveFilter_InputObject!) {viewer{accounts(filter:{accountTag_in:[$a]}){workersInvocationsAdaptive(limit:3,filter:$filter){...F}}}} fragment F on AccountWorkersInvocationsAdaptive{sum{requests}}`,
	} {
		answer, status := ask(t, src, query, map[string]any{"a": account, "filter": map[string]any{"scriptName": "web", "datetime_geq": "2026-11-25T12:00:00Z"}})
		if status != http.StatusOK || !strings.Contains(answer, `[{"sum":{"requests":10}}]`) {
			t.Errorf("%d %s", status, answer)
		}
	}
}

func TestOtherAccountsAreNotShown(t *testing.T) {
	t.Parallel()
	src := history(t)
	for _, tag := range []string{other, "nonsense", ""} {
		answer, status := ask(t, src, gateQuery, map[string]any{
			"account": tag, "script": "api", "version": newID, "from": start.Format(time.RFC3339), "to": src.Now.Format(time.RFC3339),
		})
		if want := `{"data":null,"errors":[{"message":"not authorized for that account","path":["viewer","accounts"],"extensions":{"code":"authz","timestamp":"2026-11-25T12:00:10Z"}}]}`; status != http.StatusForbidden || answer != want {
			t.Errorf("account %q: %d %s", tag, status, answer)
		}
	}
	if got := rows(t, src, `limit:100`, `{dimensions{scriptName scriptVersion}}`); strings.Contains(got, "their") || strings.Contains(got, `"v"`) {
		t.Errorf("foreign or deleted Workers are shown: %s", got)
	}
}

func TestRefusalsSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	src := history(t)
	in := func(args, selection string) string {
		return `{viewer{accounts(filter:{accountTag:"` + account + `"}){workersInvocationsAdaptive(` + args + `)` + selection + `}}}`
	}
	for query, want := range map[string]string{
		in(`limit:1`, `{sum{subrequests}}`):                                           `Cannot query field \"subrequests\" on type \"AccountWorkersInvocationsAdaptiveSum\"`,
		in(`limit:1`, `{quantiles{cpuTimeP99}}`):                                      `Cannot query field \"cpuTimeP99\"`,
		in(`limit:1,filter:{coloCode:"AMS"}`, `{sum{requests}}`):                      `coloCode`,
		in(`limit:1,orderBy:[coloCode_ASC]`, `{sum{requests}}`):                       `coloCode_ASC`,
		in(`limit:1,orderBy:[status_ASC]`, `{sum{requests}}`):                         `orderBy: \"status_ASC\" is not among the dimensions`,
		in(`orderBy:[sum_errors_ASC]`, `{sum{requests}}`):                             `\"limit\" of type \"uint64!\" is required`,
		in(`limit:0`, `{sum{requests}}`):                                              `limit must be positive number and not greater than 10000`,
		in(`limit:10001`, `{sum{requests}}`):                                          `limit must be positive number`,
		in(`limit:1e400`, `{sum{requests}}`):                                          `limit`,
		in(`limit:99999999999999999999`, `{sum{requests}}`):                           `limit`,
		in(`limit:"1"`, `{sum{requests}}`):                                            `limit must be positive number`,
		in(`limit:1,filter:{datetime_geq:"yesterday"}`, `{sum{requests}}`):            `filter: the value of datetime_geq must be a time like \"2026-11-25T12:00:00Z\"`,
		in(`limit:1,filter:{date_leq:"2026"}`, `{sum{requests}}`):                     `must be a time like \"2026-11-25\"`,
		in(`limit:1,filter:{datetime_geq:"2026-11-24T11:00:00Z"}`, `{sum{requests}}`): `cannot request data older than 86400s`,
		in(`limit:1,filter:{scriptName:7}`, `{sum{requests}}`):                        `the value of scriptName must be a string`,
		in(`limit:1,filter:{scriptName_in:["a",null]}`, `{sum{requests}}`):            `found null`,
		in(`limit:1`, ``):                                                           `must have a selection of subfields`,
		`{viewer{zones(filter:{zoneTag:"x"}){x}}}`:                                  `Cannot query field \"zones\" on type \"viewer\"`,
		`{viewer{accounts(filter:{}){__typename}}}`:                                 `accountTag is missing`,
		`{__schema{types{name}}}`:                                                   `no introspection`,
		`mutation{x}`:                                                               `mutation`,
		`query A{viewer{__typename}} query B{viewer{__typename}}`:                   `operationName`,
		`{viewer{accounts(filter:{accountTag:$x}){__typename}}}`:                    `Variable \"$x\" is not defined`,
		`query($x: string!){viewer{accounts(filter:{accountTag:$x}){__typename}}}`:  `the variable $x must be given`,
		`query($x: Nonsense){viewer{accounts(filter:{accountTag:$x}){__typename}}}`: `Nonsense`,
		`{viewer{`: `Expected Name`,
		``:         `\"query\"`,
		`{viewer{` + strings.Repeat(`a:__typename `, 2000) + `}}`:                                `token`,
		`query{viewer{...F}} fragment F on viewer{...F}`:                                         `Cannot spread fragment \"F\" within itself`,
		strings.Repeat(`{viewer`, 10) + `{__typename}`:                                           `Expected`,
		`{viewer{accounts(filter:{accountTag:"` + account + `"}){` + many(maxDatasets+1) + `}}}`: `number of datasets can't be more than 10`,
	} {
		answer, status := ask(t, src, query, nil)
		if status != http.StatusBadRequest || !strings.HasPrefix(answer, `{"data":null,"errors":[{"message":"`) || !strings.Contains(answer, want) {
			t.Errorf("%.200s:\n%d %.400s\nwant %s", query, status, answer, want)
		}
	}
}

// many asks n times, which is cheap to write and not to answer.
func many(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "a%d:workersInvocationsAdaptive(limit:1){sum{requests}}", i)
	}
	return b.String()
}

func TestRowsAreBounded(t *testing.T) {
	t.Parallel()
	now := start
	r := traffic.NewRecorder(func() time.Time { return now })
	for range 800 {
		for i := range 15 {
			k := traffic.Key{AccountID: account, WorkerID: "api-id", VersionID: fmt.Sprint(i)}
			r.Open(k).Observe(traffic.Success, 200, time.Millisecond)
			r.Release(k)
		}
		now = now.Add(time.Second)
		r.Sample()
	}
	src := Source{AccountID: account, Workers: map[string]string{"api-id": "api"}, Traffic: r, Now: now}
	answer, status := ask(t, src, `{viewer{accounts(filter:{accountTag:"`+account+`"}){workersInvocationsAdaptive(limit:1){dimensions{scriptVersion datetime}}}}}`, nil)
	if status != http.StatusBadRequest || !strings.Contains(answer, "limit reached, please try reduced time period") {
		t.Errorf("%d %.300s", status, answer)
	}
}

// Whatever is sent: an answer in the form of GraphQL over HTTP, soon.
func FuzzAnswer(f *testing.F) {
	variables, _ := json.Marshal(gate(newID, start, start.Add(time.Minute)))
	body, _ := json.Marshal(Request{Query: gateQuery})
	f.Add(string(body), string(variables))
	for _, query := range []string{
		`{viewer{accounts(filter:{accountTag:"` + account + `"}){workersInvocationsAdaptive(limit:1,orderBy:[sum_requests_DESC]){...F}}}} fragment F on AccountWorkersInvocationsAdaptive{sum{requests}}`,
		`query($f:AccountWorkersInvocationsAdaptiveFilter_InputObject=null,$b:Boolean=true){viewer @skip(if:$b){accounts(filter:{accountTag_in:["` + account + `"]}){workersInvocationsAdaptive(limit:1,filter:$f){avg{sampleInterval}}}}}`,
		`{viewer{accounts(filter:{accountTag:"` + account + `"}){workersInvocationsAdaptive(limit:1,filter:{AND:{OR:[{date:"2026-11-25"}]}}){quantiles{wallTimeP50}}}}}`,
		`{__type(name:"x"){name}}`, `subscription{x}`, "{\"\\u0000", `{a(b:"""x""")}`, `query($x:[[string!]]=[[1]]){viewer{__typename}}`,
	} {
		body, _ := json.Marshal(Request{Query: query})
		f.Add(string(body), `{"f":{"AND":[{"OR":[]}]},"b":false}`)
	}
	s, err := NewSchema()
	if err != nil {
		f.Fatal(err)
	}
	src := history(f)
	f.Fuzz(func(t *testing.T, body, variables string) {
		if len(body) > MaxBody {
			return
		}
		if merged := (map[string]json.RawMessage{}); json.Unmarshal([]byte(body), &merged) == nil && merged != nil && json.Valid([]byte(variables)) {
			merged["variables"] = json.RawMessage(variables)
			raw, err := json.Marshal(merged)
			if err != nil {
				t.Fatal(err)
			}
			body = string(raw)
		}
		began := time.Now()
		response, status := s.Answer([]byte(body), src)
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("it took %v", took)
		}
		raw, err := json.Marshal(response)
		if err != nil {
			t.Fatal(err)
		}
		if (status == http.StatusOK) != (response.Errors == nil) || (response.Data == nil) != (response.Errors != nil) {
			t.Errorf("%d %s", status, raw)
		}
		if strings.Contains(string(raw), "their") {
			t.Errorf("another account is shown: %s", raw)
		}
	})
}
