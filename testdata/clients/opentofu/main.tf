# Every resource and data source for KMS that the provider of opentofu_test.go has.
terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

variable "endpoint" { type = string }
variable "owner" { type = string }
variable "enabled" { type = bool }
variable "rotation" { type = bool }
variable "alias" { type = string }
variable "valid_to" { type = string }

provider "aws" {
  endpoints { kms = var.endpoint }
  skip_credentials_validation = true
  skip_requesting_account_id  = true
  skip_metadata_api_check     = true
  skip_get_ec2_platforms      = true
}

provider "aws" {
  alias  = "west"
  region = "eu-west-1"
  endpoints { kms = var.endpoint }
  skip_credentials_validation = true
  skip_requesting_account_id  = true
  skip_metadata_api_check     = true
  skip_get_ec2_platforms      = true
}

locals {
  root = "arn:aws:iam::000000000000:root"
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      { Sid = "Root", Effect = "Allow", Principal = { AWS = local.root }, Action = "kms:*", Resource = "*" },
      { Sid = "Reader", Effect = "Allow", Principal = { AWS = [local.root] }, Action = ["kms:DescribeKey", "kms:GetPublicKey"], Resource = "*" },
    ]
  })
}

resource "aws_kms_key" "plain" {
  description             = "kept by ${var.owner}"
  deletion_window_in_days = 7
  enable_key_rotation     = var.rotation
  policy                  = local.policy
  tags                    = { Owner = var.owner, Stage = "test" }
}

resource "aws_kms_key" "switched" {
  description             = "switched"
  is_enabled              = var.enabled
  deletion_window_in_days = 30
}

resource "aws_kms_key" "signing" {
  description              = "signing"
  key_usage                = "SIGN_VERIFY"
  customer_master_key_spec = "ECC_NIST_P256"
  deletion_window_in_days  = 7
}

resource "aws_kms_key" "rsa" {
  description              = "rsa"
  customer_master_key_spec = "RSA_2048"
  deletion_window_in_days  = 7
}

resource "aws_kms_key" "west" {
  provider                = aws.west
  description             = "west"
  deletion_window_in_days = 7
}

# Made by somebody else and imported.
resource "aws_kms_key" "taken" {
  deletion_window_in_days = 7
}

resource "aws_kms_alias" "plain" {
  name          = "alias/${var.alias}"
  target_key_id = aws_kms_key.plain.key_id
}

resource "aws_kms_alias" "prefixed" {
  name_prefix   = "alias/prefix-"
  target_key_id = aws_kms_key.signing.arn
}

resource "aws_kms_grant" "reader" {
  name               = "reader"
  key_id             = aws_kms_key.plain.key_id
  grantee_principal  = local.root
  retiring_principal = local.root
  operations         = ["Encrypt", "Decrypt", "DescribeKey"]
  constraints {
    encryption_context_equals = { Department = "Finance" }
  }
}

resource "aws_kms_grant" "retired" {
  key_id             = aws_kms_key.rsa.arn
  grantee_principal  = local.root
  retiring_principal = local.root
  operations         = ["Decrypt", "DescribeKey"]
  retire_on_delete   = true
}

resource "aws_kms_ciphertext" "secret" {
  key_id    = aws_kms_key.plain.key_id
  plaintext = "correct horse"
  context   = { app = "billing" }
}

resource "aws_kms_external_key" "imported" {
  description             = "imported"
  deletion_window_in_days = 7
  key_material_base64     = "Wblj06fduthWggmsT0cLVoIMOkeLbc2kVfMud77i/JY="
  valid_to                = var.valid_to
  enabled                 = true
  policy                  = local.policy
  tags                    = { Owner = var.owner }
}

resource "aws_kms_external_key" "pending" {
  description             = "no material"
  deletion_window_in_days = 7
}

data "aws_kms_key" "plain" {
  key_id = aws_kms_alias.plain.name
}

data "aws_kms_alias" "plain" {
  name = aws_kms_alias.plain.name
}

data "aws_kms_secrets" "secret" {
  secret {
    name    = "first"
    payload = aws_kms_ciphertext.secret.ciphertext_blob
    context = { app = "billing" }
  }
}

output "secret" {
  value     = data.aws_kms_secrets.secret.plaintext["first"]
  sensitive = true
}
output "plain_arn" { value = aws_kms_key.plain.arn }
output "switched_arn" { value = aws_kms_key.switched.arn }
output "taken_arn" { value = aws_kms_key.taken.arn }
output "signing_arn" { value = aws_kms_key.signing.arn }
output "data_arn" { value = data.aws_kms_key.plain.arn }
output "alias_target" { value = data.aws_kms_alias.plain.target_key_arn }
output "west_arn" { value = aws_kms_key.west.arn }
output "imported_state" { value = aws_kms_external_key.imported.key_state }
output "pending_state" { value = aws_kms_external_key.pending.key_state }
