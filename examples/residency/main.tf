terraform {
  required_version = ">= 1.11"

  required_providers {
    hybridge = {
      source = "hybridge/hybridge"
    }
  }
}

# Where this plane is. One whose agent.yaml names another region is refused at plan.
provider "hybridge" {
  region = "fr"
}

locals {
  # Patients' data stays in France: no other plane may run this Worker, whatever is
  # written as `plane` one day.
  residency = ["fr"]
}

resource "hybridge_worker" "records" {
  name      = "records"
  residency = local.residency
  subdomain = { enabled = true }
}

resource "hybridge_worker_version" "records" {
  worker             = hybridge_worker.records.id
  residency          = local.residency
  compatibility_date = "2026-01-01"
  script             = "export default { fetch() { return new Response('kept in France') } }"

  lifecycle {
    create_before_destroy = true
  }
}

resource "hybridge_worker_deployment" "records" {
  worker     = hybridge_worker.records.name
  version_id = hybridge_worker_version.records.id
  residency  = local.residency
}

data "hybridge_plane" "here" {}

output "url" {
  description = "Where the Worker answers."
  value       = hybridge_worker.records.url
}

output "region" {
  description = "Where that is."
  value       = data.hybridge_plane.here.region
}
