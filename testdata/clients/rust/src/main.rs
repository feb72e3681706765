//! What a program written with the AWS SDK for Rust does with AWS KMS, done with an appliance: endpoint, Region and credential
//! come from the variables. The first thing that is wrong ends it.

use std::{collections::BTreeSet, error::Error, fmt::Debug, time::Duration};

use aws_config::Region;
use aws_sdk_kms::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    primitives::Blob,
    types::{
        DataKeySpec, GrantConstraints, GrantOperation, KeySpec, KeyState, KeyUsageType, MacAlgorithmSpec, MessageType, OriginType,
        RotationType, SigningAlgorithmSpec, Tag,
    },
};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome {
    let shared = aws_config::load_from_env().await;
    let kms = Client::new(&shared);
    let arn = symmetric(&kms).await?;
    println!("ok symmetric");
    signatures(&kms).await?;
    println!("ok signatures");
    macs(&kms).await?;
    println!("ok macs");
    grants(&kms, &arn).await?;
    println!("ok grants");
    names(&kms, &arn).await?;
    println!("ok names");
    states(&kms).await?;
    println!("ok states");
    let west = Client::from_conf(aws_sdk_kms::config::Builder::from(&shared).region(Region::new("eu-west-1")).build());
    regions(&kms, &west).await?;
    println!("ok regions");
    Ok(())
}

/// The call must end with the service's exception of that name.
fn refused<T: Debug, E: ProvideErrorMetadata + Debug, R: Debug>(result: Result<T, SdkError<E, R>>, exception: &str) -> String {
    let err = result.expect_err(exception);
    let service = err.as_service_error().unwrap_or_else(|| panic!("{exception}, not {err:?}"));
    assert_eq!(service.code(), Some(exception), "{service:?}");
    service.message().unwrap_or_default().to_owned()
}

async fn create(kms: &Client, spec: KeySpec, usage: KeyUsageType) -> Outcome<aws_sdk_kms::types::KeyMetadata> {
    let tag = Tag::builder().tag_key("Owner").tag_value("rust").build()?;
    let out = kms.create_key().key_spec(spec).key_usage(usage).tags(tag).send().await?;
    Ok(out.key_metadata.ok_or("no metadata")?)
}

fn arn_of(key: &aws_sdk_kms::types::KeyMetadata) -> String {
    key.arn().expect("an ARN").to_owned()
}

async fn symmetric(kms: &Client) -> Outcome<String> {
    let key = create(kms, KeySpec::SymmetricDefault, KeyUsageType::EncryptDecrypt).await?;
    assert_eq!((key.enabled(), key.key_state(), key.origin()), (true, Some(&KeyState::Enabled), Some(&OriginType::AwsKms)));
    assert!(key.creation_date().is_some() && key.deletion_date().is_none() && key.valid_to().is_none());
    let arn = arn_of(&key);
    let sealed = kms.encrypt().key_id(&arn).plaintext(Blob::new("a secret")).encryption_context("app", "billing").send().await?;
    let blob = sealed.ciphertext_blob.ok_or("no ciphertext")?;
    let opened = kms.decrypt().ciphertext_blob(blob.clone()).encryption_context("app", "billing").send().await?;
    assert_eq!((opened.plaintext(), opened.key_id()), (Some(&Blob::new("a secret")), Some(arn.as_str())));
    let err = kms.decrypt().ciphertext_blob(blob.clone()).send().await.expect_err("without its context").into_service_error();
    assert!(err.is_invalid_ciphertext_exception(), "{err:?}");

    let other = arn_of(&create(kms, KeySpec::SymmetricDefault, KeyUsageType::EncryptDecrypt).await?);
    let moved = kms.re_encrypt().ciphertext_blob(blob).source_encryption_context("app", "billing").destination_key_id(&other).send().await?;
    let opened = kms.decrypt().ciphertext_blob(moved.ciphertext_blob.clone().ok_or("no ciphertext")?).send().await?;
    assert_eq!(opened.plaintext(), Some(&Blob::new("a secret")));
    refused(kms.decrypt().ciphertext_blob(moved.ciphertext_blob.ok_or("no ciphertext")?).key_id(&arn).send().await, "IncorrectKeyException");

    let data = kms.generate_data_key().key_id(&arn).key_spec(DataKeySpec::Aes256).send().await?;
    let opened = kms.decrypt().ciphertext_blob(data.ciphertext_blob.clone().ok_or("no ciphertext")?).send().await?;
    assert_eq!(opened.plaintext(), data.plaintext());
    assert_eq!(kms.generate_random().number_of_bytes(1024).send().await?.plaintext.map(|p| p.into_inner().len()), Some(1024));
    Ok(arn)
}

async fn signatures(kms: &Client) -> Outcome {
    let message = Blob::new("signed ".repeat(100));
    for spec in [KeySpec::Rsa2048, KeySpec::EccNistP256, KeySpec::EccNistP384, KeySpec::EccSecgP256K1, KeySpec::EccNistEdwards25519] {
        let key = create(kms, spec, KeyUsageType::SignVerify).await?;
        let arn = arn_of(&key);
        assert!(kms.get_public_key().key_id(&arn).send().await?.public_key().is_some());
        for algorithm in key.signing_algorithms().iter().filter(|a| **a != SigningAlgorithmSpec::Ed25519PhSha512) {
            let signed = kms.sign().key_id(&arn).message(message.clone()).message_type(MessageType::Raw).signing_algorithm(algorithm.clone()).send().await?;
            let check = kms.verify().key_id(&arn).signing_algorithm(algorithm.clone()).signature(signed.signature.ok_or("no signature")?);
            assert!(check.clone().message(message.clone()).send().await?.signature_valid());
            refused(check.message(Blob::new("another")).send().await, "KMSInvalidSignatureException");
        }
        let err = kms.encrypt().key_id(&arn).plaintext(Blob::new("x")).send().await.expect_err("a signing key").into_service_error();
        assert!(err.is_invalid_key_usage_exception(), "{err:?}");
    }
    Ok(())
}

async fn macs(kms: &Client) -> Outcome {
    let arn = arn_of(&create(kms, KeySpec::Hmac384, KeyUsageType::GenerateVerifyMac).await?);
    let made = kms.generate_mac().key_id(&arn).message(Blob::new("m")).mac_algorithm(MacAlgorithmSpec::HmacSha384).send().await?;
    let check = kms.verify_mac().key_id(&arn).mac_algorithm(MacAlgorithmSpec::HmacSha384).mac(made.mac.ok_or("no MAC")?);
    assert!(check.clone().message(Blob::new("m")).send().await?.mac_valid());
    refused(check.clone().message(Blob::new("n")).send().await, "KMSInvalidMacException");
    refused(check.message(Blob::new("m")).dry_run(true).send().await, "DryRunOperationException");
    Ok(())
}

async fn grants(kms: &Client, arn: &str) -> Outcome {
    let root = format!("arn:aws:iam::{}:root", arn.split(':').nth(4).ok_or("no account")?);
    let mut made = Vec::new();
    for i in 0..5 {
        let constraints = GrantConstraints::builder().encryption_context_subset("n", i.to_string()).build();
        let grant = kms.create_grant().key_id(arn).grantee_principal(&root).retiring_principal(&root).name(format!("g{i}"))
            .operations(GrantOperation::Encrypt).constraints(constraints).send().await?;
        made.push(grant);
    }
    let mut pages = kms.list_grants().key_id(arn).into_paginator().page_size(2).send();
    let mut seen = BTreeSet::new();
    while let Some(page) = pages.next().await {
        seen.extend(page?.grants().iter().filter_map(|g| g.grant_id().map(str::to_owned)));
    }
    assert_eq!(seen, made.iter().filter_map(|g| g.grant_id().map(str::to_owned)).collect());
    kms.retire_grant().grant_token(made[0].grant_token().ok_or("no token")?).send().await?;
    kms.revoke_grant().key_id(arn).grant_id(made[1].grant_id().ok_or("no id")?).send().await?;
    assert_eq!(kms.list_grants().key_id(arn).send().await?.grants().len(), 3);
    Ok(())
}

async fn names(kms: &Client, arn: &str) -> Outcome {
    let prefix = format!("alias/{}", uuid::Uuid::new_v4());
    let wanted: BTreeSet<String> = (0..5).map(|i| format!("{prefix}-{i}")).collect();
    for name in &wanted {
        kms.create_alias().alias_name(name).target_key_id(arn).send().await?;
    }
    let message = refused(kms.create_alias().alias_name(format!("{prefix}-0")).target_key_id(arn).send().await, "AlreadyExistsException");
    assert!(message.contains("already exists"), "{message}");
    let aliases: Vec<_> = kms.list_aliases().key_id(arn).into_paginator().page_size(2).items().send().collect::<Result<Vec<_>, _>>().await?;
    assert_eq!(aliases.iter().filter_map(|a| a.alias_name().map(str::to_owned)).collect::<BTreeSet<_>>(), wanted);
    let found = kms.describe_key().key_id(format!("{prefix}-0")).send().await?;
    assert_eq!(found.key_metadata().and_then(|k| k.arn()), Some(arn));
    let tags = kms.list_resource_tags().key_id(arn).send().await?;
    assert_eq!(tags.tags().iter().map(|t| (t.tag_key(), t.tag_value())).collect::<Vec<_>>(), [("Owner", "rust")]);
    let policy = kms.get_key_policy().key_id(arn).send().await?.policy.ok_or("no policy")?;
    kms.put_key_policy().key_id(arn).policy(policy).send().await?;
    refused(kms.put_key_policy().key_id(arn).policy("{").send().await, "MalformedPolicyDocumentException");
    Ok(())
}

async fn states(kms: &Client) -> Outcome {
    let arn = arn_of(&create(kms, KeySpec::SymmetricDefault, KeyUsageType::EncryptDecrypt).await?);
    kms.enable_key_rotation().key_id(&arn).rotation_period_in_days(180).send().await?;
    kms.rotate_key_on_demand().key_id(&arn).send().await?;
    let status = kms.get_key_rotation_status().key_id(&arn).send().await?;
    assert_eq!((status.key_rotation_enabled(), status.rotation_period_in_days()), (true, Some(180)));
    let rotations = kms.list_key_rotations().key_id(&arn).into_paginator().items().send().collect::<Result<Vec<_>, _>>().await?;
    assert_eq!(rotations.iter().filter_map(|r| r.rotation_type()).collect::<Vec<_>>(), [&RotationType::OnDemand]);

    kms.disable_key().key_id(&arn).send().await?;
    let message = refused(kms.encrypt().key_id(&arn).plaintext(Blob::new("x")).send().await, "DisabledException");
    assert_eq!(message, format!("{arn} is disabled."));
    let planned = kms.schedule_key_deletion().key_id(&arn).pending_window_in_days(7).send().await?;
    assert!(planned.deletion_date().is_some());
    refused(kms.enable_key().key_id(&arn).send().await, "KMSInvalidStateException");
    kms.cancel_key_deletion().key_id(&arn).send().await?;
    let err = kms.describe_key().key_id(uuid::Uuid::new_v4().to_string()).send().await.expect_err("no such key").into_service_error();
    assert!(err.is_not_found_exception(), "{err:?}");
    refused(kms.schedule_key_deletion().key_id(&arn).pending_window_in_days(3).send().await, "ValidationException");

    let external = kms.create_key().origin(OriginType::External).send().await?.key_metadata.ok_or("no metadata")?;
    assert_eq!(external.key_state(), Some(&KeyState::PendingImport));
    let listed = kms.list_keys().into_paginator().page_size(3).items().send().collect::<Result<Vec<_>, _>>().await?;
    assert!(listed.iter().any(|k| k.key_arn() == Some(arn.as_str())));
    Ok(())
}

async fn regions(kms: &Client, west: &Client) -> Outcome {
    let primary = kms.create_key().multi_region(true).send().await?.key_metadata.ok_or("no metadata")?;
    kms.replicate_key().key_id(primary.key_id()).replica_region("eu-west-1").send().await?;
    for _ in 0..600 {
        let replica = west.describe_key().key_id(primary.key_id()).send().await?.key_metadata.ok_or("no metadata")?;
        if replica.key_state() == Some(&KeyState::Enabled) {
            let sealed = kms.encrypt().key_id(primary.key_id()).plaintext(Blob::new("here")).send().await?;
            let opened = west.decrypt().ciphertext_blob(sealed.ciphertext_blob.ok_or("no ciphertext")?).send().await?;
            assert_eq!(opened.plaintext(), Some(&Blob::new("here")));
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Err("the replica was not enabled in a minute".into())
}
