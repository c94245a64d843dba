// SPDX-License-Identifier: MPL-2.0

package cloudflare

import (
	"time"
)

// Worker is a Worker's unversioned state.
type Worker struct {
	ID            string         `json:"id"` // 32 hex digits, immutable
	Name          string         `json:"name"`
	CreatedOn     time.Time      `json:"created_on"`
	UpdatedOn     time.Time      `json:"updated_on"`
	DeployedOn    *time.Time     `json:"deployed_on"` // nil if never deployed
	Logpush       bool           `json:"logpush"`
	Observability *Observability `json:"observability"` // nil if the plane sent none
	Subdomain     Subdomain      `json:"subdomain"`
	Tags          []string       `json:"tags"`
	TailConsumers []TailConsumer `json:"tail_consumers"`
	References    References     `json:"references"`
}

// Subdomain says where a Worker answers below workers.dev.
type Subdomain struct {
	Enabled         bool `json:"enabled"`
	PreviewsEnabled bool `json:"previews_enabled"`
	// URL is empty where the plane sends none, e.g. because the account owns no
	// workers.dev subdomain. It is sent whether the subdomain is enabled or not.
	URL              string `json:"url"`
	PreviewURLSuffix string `json:"preview_url_suffix"`
}

// SubdomainInput is what can be set of a Subdomain; nil leaves the plane's value.
type SubdomainInput struct {
	Enabled         *bool `json:"enabled,omitempty"`
	PreviewsEnabled *bool `json:"previews_enabled,omitempty"`
}

// Observability is a Worker's logging and tracing. A nil field is not sent; on
// answers it means that the plane did not say.
type Observability struct {
	Enabled          *bool                `json:"enabled,omitempty"`
	HeadSamplingRate *float64             `json:"head_sampling_rate,omitempty"`
	Logs             *ObservabilityLogs   `json:"logs,omitempty"`
	Traces           *ObservabilityTraces `json:"traces,omitempty"`
}

// ObservabilityLogs is the logs part of Observability.
type ObservabilityLogs struct {
	Enabled          *bool    `json:"enabled,omitempty"`
	HeadSamplingRate *float64 `json:"head_sampling_rate,omitempty"`
	InvocationLogs   *bool    `json:"invocation_logs,omitempty"`
	Persist          *bool    `json:"persist,omitempty"`
	Destinations     []string `json:"destinations,omitempty"`
}

// ObservabilityTraces is the traces part of Observability.
type ObservabilityTraces struct {
	Enabled          *bool    `json:"enabled,omitempty"`
	HeadSamplingRate *float64 `json:"head_sampling_rate,omitempty"`
	Persist          *bool    `json:"persist,omitempty"`
	Destinations     []string `json:"destinations,omitempty"`
}

// TailConsumer is a Worker that consumes another Worker's logs.
type TailConsumer struct {
	Name string `json:"name"`
}

// References are what depends on a Worker existing.
type References struct {
	DispatchNamespaceOutbounds []struct {
		NamespaceName string `json:"namespace_name"`
		WorkerName    string `json:"worker_name"`
	} `json:"dispatch_namespace_outbounds"`
	Domains []struct {
		Hostname string `json:"hostname"`
	} `json:"domains"`
	DurableObjects []struct {
		NamespaceName string `json:"namespace_name"`
		WorkerName    string `json:"worker_name"`
	} `json:"durable_objects"`
	Queues []struct {
		QueueName string `json:"queue_name"`
	} `json:"queues"`
	Workers []struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	} `json:"workers"`
}

// Names lists the references in words, e.g. `Worker "shop"`; empty if there are none.
func (r References) Names() []string {
	var names []string
	for _, w := range r.Workers {
		names = append(names, `Worker "`+w.Name+`"`)
	}
	for _, d := range r.DurableObjects {
		names = append(names, `Durable Object namespace "`+d.NamespaceName+`" of Worker "`+d.WorkerName+`"`)
	}
	for _, d := range r.Domains {
		names = append(names, `custom domain "`+d.Hostname+`"`)
	}
	for _, q := range r.Queues {
		names = append(names, `queue "`+q.QueueName+`"`)
	}
	for _, d := range r.DispatchNamespaceOutbounds {
		names = append(names, `dispatch namespace "`+d.NamespaceName+`"`)
	}
	return names
}

// WorkerInput is what can be set of a Worker. In a creation nil means the
// plane's default, in an update it means unchanged.
type WorkerInput struct {
	Name          string          `json:"name,omitempty"`
	Logpush       *bool           `json:"logpush,omitempty"`
	Observability *Observability  `json:"observability,omitempty"`
	Subdomain     *SubdomainInput `json:"subdomain,omitempty"`
	Tags          *[]string       `json:"tags,omitempty"`
	TailConsumers *[]TailConsumer `json:"tail_consumers,omitempty"`
}
