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

# Patients' data stays in France: no other plane may run this Worker, whatever is
# written as `plane` one day.
module "records" {
  source = "../../modules/worker"

  name               = "records"
  residency          = ["fr"]
  compatibility_date = "2026-01-01"
  script             = "export default { fetch() { return new Response('kept in France') } }"
}

data "hybridge_plane" "here" {}

output "url" {
  description = "Where the Worker answers."
  value       = module.records.url
}

output "region" {
  description = "Where that is."
  value       = data.hybridge_plane.here.region
}
