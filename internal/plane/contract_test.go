// SPDX-License-Identifier: MPL-2.0

package plane_test

import (
	"encoding/base64"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/cloudflare/cloudflare-go/v7/option"
	"github.com/cloudflare/cloudflare-go/v7/workers"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/planetest"
)

// requireAll fails for every member that Cloudflare's API document requires and
// the answer lacks or has in a wrong form. cloudflare-go marks the former in its
// types and keeps what it saw of the latter in a field JSON.
func requireAll(t *testing.T, what string, v reflect.Value) {
	t.Helper()
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		if v.IsNil() {
			return
		}
		v = v.Elem()
	}
	switch v.Kind() {
	case reflect.Slice:
		for i := range v.Len() {
			requireAll(t, what+"[]", v.Index(i))
		}
	case reflect.Struct:
		seen := v.FieldByName("JSON")
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if !f.IsExported() || f.Name == "JSON" {
				continue
			}
			name := what + "." + f.Name
			required := strings.Contains(f.Tag.Get("api"), "required")
			if seen.IsValid() && seen.Kind() == reflect.Struct {
				if meta := seen.FieldByName(f.Name); meta.IsValid() {
					missing := meta.MethodByName("IsMissing").Call(nil)[0].Bool()
					wrong := meta.MethodByName("IsInvalid").Call(nil)[0].Bool()
					if required && missing || wrong {
						t.Errorf("%s: required %v, missing %v, invalid %v", name, required, missing, wrong)
					}
					if missing {
						continue
					}
				}
			}
			if f.Type.PkgPath() == "time" || strings.HasPrefix(f.Type.String(), "map[") {
				continue
			}
			requireAll(t, name, v.Field(i))
		}
	}
}

// params makes the parameters of a call of the SDK. Its generic field type can
// only be named through the SDK's root package, which costs minutes to compile.
func params[P any](fields map[string]any) P {
	var p P
	for name, value := range fields {
		field := reflect.ValueOf(&p).Elem().FieldByName(name)
		into := field.FieldByName("Value")
		into.Set(reflect.ValueOf(value).Convert(into.Type()))
		field.FieldByName("Present").SetBool(true)
	}
	return p
}

func body(text string) option.RequestOption {
	return option.WithRequestBody("application/json", []byte(text))
}

// What the SDK's beta Workers, versions and deployments do, over the plane.
func TestCloudflareGoFindsWhatItsDocumentPromises(t *testing.T) {
	t.Parallel()
	p := planetest.New(t, planetest.Options{})
	options := []option.RequestOption{option.WithBaseURL(p.BaseURL), option.WithAPIToken(p.Token), option.WithMaxRetries(0)}
	beta, scripts := workers.NewBetaService(options...).Workers, workers.NewScriptService(options...)
	ctx := t.Context()
	account := map[string]any{"AccountID": p.AccountID}
	check := func(what string, v any, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v\n%s", what, err, p.Log())
		}
		requireAll(t, what, reflect.ValueOf(v))
	}
	create := func(text string) (*workers.Worker, error) {
		return beta.New(ctx, params[workers.BetaWorkerNewParams](account), body(text))
	}

	auth, err := create(`{"name":"auth"}`)
	check("create", auth, err)
	w, err := create(`{"name":"api","logpush":true,"tags":["t"],"subdomain":{"enabled":true}}`)
	check("create", w, err)
	if !w.Logpush || !w.Subdomain.Enabled || w.Subdomain.URL != "http://api.acme.localhost:8787" || !w.DeployedOn.IsZero() {
		t.Errorf("created: %+v", w)
	}
	_, err = create(`{"name":"api"}`)
	var apiErr *workers.Error
	if !errors.As(err, &apiErr) || apiErr.StatusCode != 409 || len(apiErr.Errors) != 1 {
		t.Errorf("creating it twice: %v", err)
	}

	upload := func(code string) *workers.Version {
		t.Helper()
		// No placement: cloudflare-go v7.9 panics while it decodes one in a version.
		v, err := beta.Versions.New(ctx, w.ID, params[workers.BetaWorkerVersionNewParams](account), body(uploadBody(code, `,
			"annotations":{"workers/message":"hb1:abc"},"compatibility_flags":["nodejs_compat"],"limits":{"cpu_ms":50},
			"bindings":[{"name":"V","type":"plain_text","text":"x"},{"name":"AUTH","type":"service","service":"auth"},{"name":"S","type":"secret_text","text":"x"},
				{"name":"J","type":"json","json":[1]},{"name":"M","type":"version_metadata"}]`)))
		check("upload", v, err)
		return v
	}
	one, two := upload(helloModule), upload(helloModule+"//2")
	if one.Number != 1 || two.Number != 2 || one.Annotations.WorkersMessage != "hb1:abc" || len(one.Bindings) != 5 || one.Bindings[0].Name != "AUTH" || len(one.URLs) != 1 {
		t.Errorf("uploaded: %+v", one)
	}
	got, err := beta.Versions.Get(ctx, w.ID, one.ID, params[workers.BetaWorkerVersionGetParams](map[string]any{"AccountID": p.AccountID, "Include": "modules"}))
	check("get version", got, err)
	if len(got.Modules) != 1 || got.Modules[0].ContentBase64 != base64.StdEncoding.EncodeToString([]byte(helloModule)) {
		t.Errorf("modules: %+v", got.Modules)
	}
	var numbers []int64
	pager := beta.Versions.ListAutoPaging(ctx, "api", params[workers.BetaWorkerVersionListParams](map[string]any{"AccountID": p.AccountID, "PerPage": 1}))
	for pager.Next() {
		v := pager.Current()
		requireAll(t, "listed version", reflect.ValueOf(v))
		if numbers = append(numbers, v.Number); len(numbers) > 5 {
			t.Fatal("the pager never ends")
		}
	}
	if err := pager.Err(); err != nil || len(numbers) != 2 || numbers[0] != 2 {
		t.Errorf("listed versions: %v, %v", numbers, err)
	}

	d, err := scripts.Deployments.New(ctx, "api", params[workers.ScriptDeploymentNewParams](account), body(deployBody(two.ID, 10, one.ID, 90)))
	check("deploy", d, err)
	list, err := scripts.Deployments.List(ctx, "api", params[workers.ScriptDeploymentListParams](account))
	check("list deployments", list, err)
	if len(list.Deployments) != 1 || list.Deployments[0].ID != d.ID || list.Deployments[0].Versions[0].Percentage != 10 {
		t.Errorf("deployments: %+v", list.Deployments)
	}
	byID, err := scripts.Deployments.Get(ctx, "api", d.ID, params[workers.ScriptDeploymentGetParams](account))
	check("get deployment", byID, err)
	if _, err := scripts.Deployments.Delete(ctx, "api", d.ID, params[workers.ScriptDeploymentDeleteParams](account)); err == nil {
		t.Error("the live deployment was deleted")
	}

	edited, err := beta.Edit(ctx, w.ID, params[workers.BetaWorkerEditParams](account), body(`{"name":"api","tags":["u"]}`))
	check("edit", edited, err)
	updated, err := beta.Update(ctx, w.ID, params[workers.BetaWorkerUpdateParams](account), body(`{"name":"api","logpush":false}`))
	check("update", updated, err)
	if !edited.Logpush || updated.Logpush || updated.DeployedOn.IsZero() {
		t.Errorf("edited: %+v\nupdated: %+v", edited, updated)
	}
	read, err := beta.Get(ctx, auth.ID, params[workers.BetaWorkerGetParams](account))
	check("get", read, err)
	if len(read.References.Workers) != 1 || read.References.Workers[0].ID != w.ID {
		t.Errorf("references: %+v", read.References)
	}
	all := beta.ListAutoPaging(ctx, params[workers.BetaWorkerListParams](account))
	n := 0
	for ; all.Next(); n++ {
		requireAll(t, "listed Worker", reflect.ValueOf(all.Current()))
	}
	if all.Err() != nil || n != 2 {
		t.Errorf("listed %d Workers, %v", n, all.Err())
	}
	remove := func(id string) error {
		_, err := beta.Delete(ctx, id, params[workers.BetaWorkerDeleteParams](account))
		return err
	}
	if remove(auth.ID) == nil {
		t.Error("a Worker that another binds to was deleted")
	}
	if _, err := beta.Versions.Delete(ctx, w.ID, one.ID, params[workers.BetaWorkerVersionDeleteParams](account)); err == nil {
		t.Error("a live version was deleted")
	}
	for _, id := range []string{w.ID, auth.ID} {
		if err := remove(id); err != nil {
			t.Errorf("deleting: %v", err)
		}
	}
	_, err = beta.Get(ctx, w.ID, params[workers.BetaWorkerGetParams](account))
	if !errors.As(err, &apiErr) || apiErr.StatusCode != 404 {
		t.Errorf("reading a deleted Worker: %v", err)
	}
}
