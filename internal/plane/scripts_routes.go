// SPDX-License-Identifier: MPL-2.0

package plane

import "net/http"

const (
	accountPattern = apiPrefix + "/accounts/{account}"
	scriptPattern  = accountPattern + "/workers/scripts/{worker}"
)

// scriptsRoutes are the endpoints of workers/scripts and workers/services, by
// which wrangler and the official provider's script resources deploy.
func (p *Plane) scriptsRoutes() []route {
	const get, put, post, patch, del = http.MethodGet, http.MethodPut, http.MethodPost, http.MethodPatch, http.MethodDelete
	return []route{
		{method: get, pattern: accountPattern + "/workers/scripts", permission: scriptsRead, handle: p.listScripts},
		{method: get, pattern: accountPattern + "/workers/scripts-search", permission: scriptsRead, handle: p.searchScripts},

		{method: put, pattern: scriptPattern, permission: scriptsWrite, maxBody: uploadMaxBody, handle: p.putScript},
		{method: get, pattern: scriptPattern, permission: scriptsRead, handle: p.getScriptContent},
		{method: del, pattern: scriptPattern, permission: scriptsWrite, handle: p.deleteScript},
		{method: put, pattern: scriptPattern + "/content", permission: scriptsWrite, maxBody: uploadMaxBody, handle: p.putScriptContent},
		{method: get, pattern: scriptPattern + "/content", permission: scriptsRead, handle: p.getScriptContent},
		{method: get, pattern: scriptPattern + "/content/v2", permission: scriptsRead, handle: p.getScriptContent},

		{method: get, pattern: scriptPattern + "/versions", permission: scriptsRead, handle: p.listScriptVersions},
		{method: post, pattern: scriptPattern + "/versions", permission: scriptsWrite, maxBody: uploadMaxBody, handle: p.postScriptVersion},
		{method: get, pattern: scriptPattern + "/versions/{version}", permission: scriptsRead, handle: p.getScriptVersion},

		{method: get, pattern: scriptPattern + "/settings", permission: scriptsRead, handle: p.getSettings},
		{method: patch, pattern: scriptPattern + "/settings", permission: scriptsWrite, maxBody: uploadMaxBody, handle: p.patchSettings},
		{method: get, pattern: scriptPattern + "/script-settings", permission: scriptsRead, handle: p.getScriptSettings},
		{method: patch, pattern: scriptPattern + "/script-settings", permission: scriptsWrite, handle: p.patchScriptSettings},

		{method: get, pattern: scriptPattern + "/subdomain", permission: scriptsRead, handle: p.getScriptSubdomain},
		{method: post, pattern: scriptPattern + "/subdomain", permission: scriptsWrite, handle: p.postScriptSubdomain},
		{method: del, pattern: scriptPattern + "/subdomain", permission: scriptsWrite, handle: p.deleteScriptSubdomain},

		{method: get, pattern: scriptPattern + "/secrets", permission: scriptsRead, handle: p.listSecrets},
		{method: put, pattern: scriptPattern + "/secrets", permission: scriptsWrite, handle: p.putSecret},
		{method: get, pattern: scriptPattern + "/secrets/{secret}", permission: scriptsRead, handle: p.getSecret},
		{method: del, pattern: scriptPattern + "/secrets/{secret}", permission: scriptsWrite, handle: p.deleteSecret},
		{method: patch, pattern: scriptPattern + "/secrets-bulk", permission: scriptsWrite, handle: p.patchSecrets},

		{method: get, pattern: scriptPattern + "/usage-model", permission: scriptsRead, handle: p.getUsageModel},
		{method: put, pattern: scriptPattern + "/usage-model", permission: scriptsWrite, handle: p.putUsageModel},
		{method: get, pattern: scriptPattern + "/schedules", permission: scriptsRead, handle: p.getSchedules},
		{method: put, pattern: scriptPattern + "/schedules", permission: scriptsWrite, handle: p.putSchedules},
		{method: get, pattern: scriptPattern + "/references", permission: scriptsRead, handle: p.getReferences},
		{method: get, pattern: accountPattern + "/workers/tails/by-consumer/{worker}", permission: scriptsRead, handle: p.listTailProducers},

		{method: get, pattern: accountPattern + "/workers/services/{worker}", permission: scriptsRead, handle: p.getService},
		{method: del, pattern: accountPattern + "/workers/services/{worker}", permission: scriptsWrite, handle: p.deleteScript},
	}
}

// identityRoutes are what clients ask about who they are and what is there, before
// and after they deploy.
func (p *Plane) identityRoutes() []route {
	const get, put = http.MethodGet, http.MethodPut
	return []route{
		{method: get, pattern: apiPrefix + "/user", permission: userRead, handle: p.getUser},
		{method: get, pattern: apiPrefix + "/user/tokens/verify", permission: anyToken, handle: p.verifyToken},
		{method: get, pattern: accountPattern + "/tokens/verify", permission: anyToken, handle: p.verifyToken},
		{method: get, pattern: apiPrefix + "/memberships", permission: membershipsRead, handle: p.listMemberships},
		{method: get, pattern: apiPrefix + "/accounts", permission: settingsRead, handle: p.listAccounts},
		{method: get, pattern: accountPattern, permission: settingsRead, handle: p.getAccount},

		{method: get, pattern: accountPattern + "/workers/subdomain", permission: scriptsRead, handle: p.getSubdomain},
		{method: put, pattern: accountPattern + "/workers/subdomain", permission: scriptsWrite, handle: p.putSubdomain},
		{method: get, pattern: accountPattern + "/workers/subdomains/{subdomain}", permission: scriptsRead, handle: p.getSubdomainAvailability},
		{method: get, pattern: accountPattern + "/workers/account-settings", permission: scriptsRead, handle: p.getWorkersAccountSettings},

		// wrangler delete looks for what belongs to the Worker; there is none of it here.
		{method: get, pattern: accountPattern + "/storage/kv/namespaces", permission: kvRead, handle: p.emptyList},
		{method: get, pattern: accountPattern + "/workers/durable_objects/namespaces", permission: scriptsRead, handle: p.emptyList},
	}
}

// emptyList answers a list that this plane has nothing to put into. It takes page
// parameters, since the SDKs' pagers read on until a page is empty.
func (p *Plane) emptyList(r *request) (*reply, error) {
	list, info, err := paginate(r, []any{})
	if err != nil {
		return nil, err
	}
	return page(list, info), nil
}
