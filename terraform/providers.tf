provider "aws" {
  region = var.region

  default_tags {
    tags = local.tags
  }
}

# For candidates that can only be called from the US. Where there are none it does nothing.
provider "aws" {
  alias  = "us"
  region = var.us_region

  default_tags {
    tags = local.tags
  }
}

locals {
  # The bill is read by this tag, once it is activated as a cost allocation tag.
  tags = { regroup-deployment = var.name }
}
