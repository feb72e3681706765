# What a program written with the AWS SDK for Ruby of 2019, which Debian has, does with AWS KMS, done with an appliance: it knows
# symmetric keys only. Region and credential come from the variables, and the endpoint too, which this SDK does not read by itself.
# The first thing that is wrong ends it.

require "aws-sdk-kms"
require "openssl"
require "securerandom"

KMS = Aws::KMS::Client.new(endpoint: ENV.fetch("AWS_ENDPOINT_URL_KMS"))
ERRORS = Aws::KMS::Errors

def check(holds, what)
  raise "wrong: #{what}" unless holds
end

# The block must end with that exception of the SDK's.
def refused(exception, text = "")
  yield
rescue Aws::Errors::ServiceError => e
  check(e.is_a?(exception) && e.context.http_response.status_code == 400 && e.message.include?(text), "#{e.class}: #{e.message}")
else
  raise "must end with #{exception}"
end

def create(**args)
  KMS.create_key(**args).key_metadata
end

def symmetric
  key = create(description: "symmetric", tags: [{ tag_key: "Owner", tag_value: "ruby" }])
  check(key.enabled && key.key_state == "Enabled" && key.origin == "AWS_KMS" && key.deletion_date.nil?, key)
  check((key.creation_date - Time.now).abs < 60, key.creation_date)
  context = { "app" => "billing", "größe" => "é€" }
  sealed = KMS.encrypt(key_id: key.arn, plaintext: "a secret", encryption_context: context).ciphertext_blob
  opened = KMS.decrypt(ciphertext_blob: sealed, encryption_context: context)
  check(opened.plaintext == "a secret" && opened.key_id == key.arn, opened)
  refused(ERRORS::InvalidCiphertextException) { KMS.decrypt(ciphertext_blob: sealed) }
  moved = KMS.re_encrypt(ciphertext_blob: sealed, source_encryption_context: context, destination_key_id: create.key_id).ciphertext_blob
  check(KMS.decrypt(ciphertext_blob: moved).plaintext == "a secret", "ReEncrypt")
  data = KMS.generate_data_key(key_id: key.arn, key_spec: "AES_256")
  check(KMS.decrypt(ciphertext_blob: data.ciphertext_blob).plaintext == data.plaintext, "GenerateDataKey")
  check(KMS.generate_random(number_of_bytes: 1024).plaintext.bytesize == 1024, "GenerateRandom")
  puts "ok symmetric"
  key.arn
end

def imported
  arn = create(origin: "EXTERNAL").arn
  refused(ERRORS::KMSInvalidStateException, "#{arn} is pending import.") { KMS.encrypt(key_id: arn, plaintext: "x") }
  given = KMS.get_parameters_for_import(key_id: arn, wrapping_algorithm: "RSAES_OAEP_SHA_1", wrapping_key_spec: "RSA_2048")
  wrapped = OpenSSL::PKey::RSA.new(given.public_key).public_encrypt(SecureRandom.bytes(32), OpenSSL::PKey::RSA::PKCS1_OAEP_PADDING)
  valid_to = Time.at(Time.now.to_i + 86_400)
  KMS.import_key_material(key_id: arn, import_token: given.import_token, encrypted_key_material: wrapped,
                          expiration_model: "KEY_MATERIAL_EXPIRES", valid_to: valid_to)
  key = KMS.describe_key(key_id: arn).key_metadata
  check(key.key_state == "Enabled" && key.valid_to == valid_to, key)
  puts "ok imported"
end

def grants_and_names(arn)
  root = "arn:aws:iam::#{arn.split(':')[4]}:root"
  made = Array.new(5) do |i|
    KMS.create_grant(key_id: arn, grantee_principal: root, retiring_principal: root, name: "g#{i}", operations: ["Encrypt"],
                     constraints: { encryption_context_subset: { "n" => i.to_s } })
  end
  seen = KMS.list_grants(key_id: arn, limit: 2).flat_map { |page| page.grants.map(&:grant_id) }
  check(seen.sort == made.map(&:grant_id).sort, seen)
  KMS.retire_grant(grant_token: made[0].grant_token)
  KMS.revoke_grant(key_id: arn, grant_id: made[1].grant_id)
  check(KMS.list_grants(key_id: arn).grants.size == 3, "grants that are left")

  prefix = "alias/#{SecureRandom.uuid}"
  5.times { |i| KMS.create_alias(alias_name: "#{prefix}-#{i}", target_key_id: arn) }
  refused(ERRORS::AlreadyExistsException) { KMS.create_alias(alias_name: "#{prefix}-0", target_key_id: arn) }
  names = KMS.list_aliases(key_id: arn, limit: 2).flat_map { |page| page.aliases.map(&:alias_name) }
  check(names.sort == Array.new(5) { |i| "#{prefix}-#{i}" }, names)
  policy = KMS.get_key_policy(key_id: arn, policy_name: "default").policy
  KMS.put_key_policy(key_id: arn, policy_name: "default", policy: policy)
  refused(ERRORS::MalformedPolicyDocumentException) { KMS.put_key_policy(key_id: arn, policy_name: "default", policy: "{") }
  puts "ok grants and names"
end

def states
  key = create
  KMS.enable_key_rotation(key_id: key.key_id)
  check(KMS.get_key_rotation_status(key_id: key.key_id).key_rotation_enabled, "rotation")
  KMS.disable_key(key_id: key.key_id)
  refused(ERRORS::DisabledException, "#{key.arn} is disabled.") { KMS.encrypt(key_id: key.key_id, plaintext: "x") }
  check(KMS.schedule_key_deletion(key_id: key.key_id, pending_window_in_days: 7).deletion_date > Time.now, "the date")
  refused(ERRORS::KMSInvalidStateException) { KMS.enable_key(key_id: key.key_id) }
  refused(ERRORS::NotFoundException) { KMS.describe_key(key_id: SecureRandom.uuid) }
  refused(ERRORS::ValidationException) { KMS.schedule_key_deletion(key_id: key.key_id, pending_window_in_days: 3) }
  listed = KMS.list_keys(limit: 3).flat_map { |page| page.keys.map(&:key_id) }
  check(listed.include?(key.key_id) && listed.uniq.size == listed.size, listed)
  puts "ok states"
end

arn = symmetric
imported
grants_and_names(arn)
states
