import java.nio.charset.StandardCharsets;
import java.security.KeyFactory;
import java.security.KeyPairGenerator;
import java.security.PublicKey;
import java.security.SecureRandom;
import java.security.Signature;
import java.security.spec.MGF1ParameterSpec;
import java.security.spec.PSSParameterSpec;
import java.security.spec.X509EncodedKeySpec;
import java.time.Duration;
import java.time.Instant;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.UUID;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import javax.crypto.Cipher;
import javax.crypto.KeyAgreement;
import javax.crypto.spec.OAEPParameterSpec;
import javax.crypto.spec.PSource;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.kms.KmsClient;
import software.amazon.awssdk.services.kms.model.*;

/**
 * What a program written with the AWS SDK for Java does with AWS KMS, done with an appliance: endpoint, Region and credential
 * come from the variables. Whatever can be is checked outside, with Java's own cryptography. The first thing that is wrong ends it.
 */
public final class KmsRound {
  private final KmsClient kms = KmsClient.create();

  public static void main(String[] args) throws Exception {
    KmsRound round = new KmsRound();
    String arn = round.symmetric();
    System.out.println("ok symmetric");
    round.asymmetricEncryption();
    System.out.println("ok asymmetric encryption");
    round.signatures();
    System.out.println("ok signatures");
    round.macsAndAgreement();
    System.out.println("ok MACs and agreement");
    round.imported();
    System.out.println("ok imported");
    round.grants(arn);
    System.out.println("ok grants");
    round.names(arn);
    System.out.println("ok names");
    round.states();
    System.out.println("ok states");
    round.regions();
    System.out.println("ok regions");
  }

  private static SdkBytes bytes(String text) {
    return SdkBytes.fromUtf8String(text);
  }

  private static void check(boolean holds, Object what) {
    if (!holds) {
      throw new AssertionError(what);
    }
  }

  /** The call must end with that exception of the SDK's; its message is given. */
  private static <E extends KmsException> String refused(Class<E> exception, Supplier<?> call) {
    try {
      call.get();
    } catch (KmsException e) {
      check(exception.isInstance(e) && e.statusCode() == 400 && e.requestId() != null, e);
      return e.awsErrorDetails().errorMessage();
    }
    throw new AssertionError("must end with " + exception.getSimpleName());
  }

  /** As refused, for exceptions that the SDK has no class for. */
  private static void refused(String code, Supplier<?> call) {
    try {
      call.get();
    } catch (KmsException e) {
      check(code.equals(e.awsErrorDetails().errorCode()), e);
      return;
    }
    throw new AssertionError("must end with " + code);
  }

  private KeyMetadata create(KeySpec spec, KeyUsageType usage) {
    return kms.createKey(r -> r.keySpec(spec).keyUsage(usage).tags(Tag.builder().tagKey("Owner").tagValue("java").build())).keyMetadata();
  }

  private KeyMetadata create() {
    return create(KeySpec.SYMMETRIC_DEFAULT, KeyUsageType.ENCRYPT_DECRYPT);
  }

  private PublicKey publicKey(String keyId, String algorithm) throws Exception {
    byte[] der = kms.getPublicKey(r -> r.keyId(keyId)).publicKey().asByteArray();
    return KeyFactory.getInstance(algorithm).generatePublic(new X509EncodedKeySpec(der));
  }

  private String symmetric() {
    KeyMetadata key = create();
    check(key.enabled() && key.keyState() == KeyState.ENABLED && key.origin() == OriginType.AWS_KMS && !key.multiRegion(), key);
    check(Duration.between(key.creationDate(), Instant.now()).abs().toMinutes() < 1, key);
    check(key.deletionDate() == null && key.validTo() == null && !key.hasSigningAlgorithms(), key);
    Map<String, String> context = Map.of("app", "billing", "größe", "é€");
    EncryptResponse sealed = kms.encrypt(r -> r.keyId(key.arn()).plaintext(bytes("a secret")).encryptionContext(context));
    DecryptResponse opened = kms.decrypt(r -> r.ciphertextBlob(sealed.ciphertextBlob()).encryptionContext(context));
    check(opened.plaintext().equals(bytes("a secret")) && opened.keyId().equals(key.arn()), opened);
    refused(InvalidCiphertextException.class, () -> kms.decrypt(r -> r.ciphertextBlob(sealed.ciphertextBlob())));
    String other = create().keyId();
    ReEncryptResponse moved = kms.reEncrypt(r -> r.ciphertextBlob(sealed.ciphertextBlob()).sourceEncryptionContext(context).destinationKeyId(other));
    check(kms.decrypt(r -> r.ciphertextBlob(moved.ciphertextBlob())).plaintext().equals(bytes("a secret")), moved);
    refused(IncorrectKeyException.class, () -> kms.decrypt(r -> r.ciphertextBlob(moved.ciphertextBlob()).keyId(key.keyId())));
    GenerateDataKeyResponse data = kms.generateDataKey(r -> r.keyId(key.arn()).keySpec(DataKeySpec.AES_256));
    check(kms.decrypt(r -> r.ciphertextBlob(data.ciphertextBlob())).plaintext().equals(data.plaintext()), data);
    GenerateDataKeyPairResponse pair = kms.generateDataKeyPair(r -> r.keyId(key.arn()).keyPairSpec(DataKeyPairSpec.ECC_NIST_P384));
    check(kms.decrypt(r -> r.ciphertextBlob(pair.privateKeyCiphertextBlob())).plaintext().equals(pair.privateKeyPlaintext()), pair);
    check(kms.generateRandom(r -> r.numberOfBytes(1024)).plaintext().asByteArray().length == 1024, "random");
    return key.arn();
  }

  private void asymmetricEncryption() throws Exception {
    String id = create(KeySpec.RSA_2048, KeyUsageType.ENCRYPT_DECRYPT).keyId();
    for (String hash : List.of("SHA-1", "SHA-256")) {
      var algorithm = EncryptionAlgorithmSpec.fromValue("RSAES_OAEP_" + hash.replace('-', '_'));
      SdkBytes outside = SdkBytes.fromByteArray(oaep(publicKey(id, "RSA"), hash).doFinal("outside".getBytes(StandardCharsets.UTF_8)));
      check(kms.decrypt(r -> r.keyId(id).ciphertextBlob(outside).encryptionAlgorithm(algorithm)).plaintext().equals(bytes("outside")), hash);
    }
  }

  private static Cipher oaep(PublicKey key, String hash) throws Exception {
    Cipher cipher = Cipher.getInstance("RSA/ECB/OAEPPadding");
    cipher.init(Cipher.ENCRYPT_MODE, key, new OAEPParameterSpec(hash, "MGF1", new MGF1ParameterSpec(hash), PSource.PSpecified.DEFAULT));
    return cipher;
  }

  private void signatures() throws Exception {
    SdkBytes message = bytes("signed ".repeat(100));
    for (KeySpec spec : List.of(KeySpec.RSA_2048, KeySpec.RSA_3072, KeySpec.ECC_NIST_P256, KeySpec.ECC_NIST_P384, KeySpec.ECC_NIST_P521,
        KeySpec.ECC_NIST_EDWARDS25519, KeySpec.ECC_SECG_P256_K1)) {
      KeyMetadata key = create(spec, KeyUsageType.SIGN_VERIFY);
      for (SigningAlgorithmSpec algorithm : key.signingAlgorithms()) {
        if (algorithm == SigningAlgorithmSpec.ED25519_PH_SHA_512) {
          continue; // no token signs it
        }
        SdkBytes signature = kms.sign(r -> r.keyId(key.keyId()).message(message).messageType(MessageType.RAW).signingAlgorithm(algorithm)).signature();
        check(kms.verify(r -> r.keyId(key.keyId()).message(message).signature(signature).signingAlgorithm(algorithm)).signatureValid(), algorithm);
        refused(KmsInvalidSignatureException.class,
            () -> kms.verify(r -> r.keyId(key.keyId()).message(bytes("another")).signature(signature).signingAlgorithm(algorithm)));
        if (spec != KeySpec.ECC_SECG_P256_K1) { // which Java does not have any more
          verifyOutside(key.keyId(), algorithm.toString(), message, signature);
        }
      }
      refused(InvalidKeyUsageException.class, () -> kms.encrypt(r -> r.keyId(key.keyId()).plaintext(bytes("x"))));
      check(!kms.getKeyRotationStatus(r -> r.keyId(key.keyId())).keyRotationEnabled(), spec);
    }
  }

  private void verifyOutside(String keyId, String algorithm, SdkBytes message, SdkBytes signature) throws Exception {
    String hash = "SHA" + algorithm.substring(algorithm.length() - 3);
    boolean rsa = algorithm.startsWith("RSASSA");
    Signature verifier;
    if (algorithm.startsWith("ED25519")) {
      verifier = Signature.getInstance("Ed25519");
    } else if (algorithm.contains("PSS")) {
      verifier = Signature.getInstance("RSASSA-PSS");
      int bits = Integer.parseInt(hash.substring(3));
      verifier.setParameter(new PSSParameterSpec("SHA-" + bits, "MGF1", new MGF1ParameterSpec("SHA-" + bits), bits / 8, 1));
    } else {
      verifier = Signature.getInstance(hash + (rsa ? "withRSA" : "withECDSA"));
    }
    verifier.initVerify(publicKey(keyId, rsa ? "RSA" : algorithm.startsWith("ED25519") ? "Ed25519" : "EC"));
    verifier.update(message.asByteArray());
    check(verifier.verify(signature.asByteArray()), algorithm);
  }

  private void macsAndAgreement() throws Exception {
    String mac = create(KeySpec.HMAC_224, KeyUsageType.GENERATE_VERIFY_MAC).keyId();
    SdkBytes made = kms.generateMac(r -> r.keyId(mac).message(bytes("m")).macAlgorithm(MacAlgorithmSpec.HMAC_SHA_224)).mac();
    check(kms.verifyMac(r -> r.keyId(mac).message(bytes("m")).mac(made).macAlgorithm(MacAlgorithmSpec.HMAC_SHA_224)).macValid(), made);
    refused(KmsInvalidMacException.class, () -> kms.verifyMac(r -> r.keyId(mac).message(bytes("n")).mac(made).macAlgorithm(MacAlgorithmSpec.HMAC_SHA_224)));
    refused(DryRunOperationException.class,
        () -> kms.generateMac(r -> r.keyId(mac).message(bytes("m")).macAlgorithm(MacAlgorithmSpec.HMAC_SHA_224).dryRun(true)));

    String id = create(KeySpec.ECC_NIST_P256, KeyUsageType.KEY_AGREEMENT).keyId();
    PublicKey theirs = publicKey(id, "EC");
    KeyPairGenerator generator = KeyPairGenerator.getInstance("EC");
    generator.initialize(((java.security.interfaces.ECPublicKey) theirs).getParams());
    var ours = generator.generateKeyPair();
    KeyAgreement agreement = KeyAgreement.getInstance("ECDH");
    agreement.init(ours.getPrivate());
    agreement.doPhase(theirs, true);
    SdkBytes shared = kms.deriveSharedSecret(r -> r.keyId(id).keyAgreementAlgorithm(KeyAgreementAlgorithmSpec.ECDH)
        .publicKey(SdkBytes.fromByteArray(ours.getPublic().getEncoded()))).sharedSecret();
    check(shared.equals(SdkBytes.fromByteArray(agreement.generateSecret())), "the shared secret");
  }

  private void imported() throws Exception {
    KeyMetadata key = kms.createKey(r -> r.origin(OriginType.EXTERNAL)).keyMetadata();
    check(key.keyState() == KeyState.PENDING_IMPORT, key);
    String text = refused(KmsInvalidStateException.class, () -> kms.encrypt(r -> r.keyId(key.arn()).plaintext(bytes("x"))));
    check(text.equals(key.arn() + " is pending import."), text);
    GetParametersForImportResponse given = kms.getParametersForImport(r -> r.keyId(key.arn())
        .wrappingAlgorithm(AlgorithmSpec.RSAES_OAEP_SHA_256).wrappingKeySpec(WrappingKeySpec.RSA_4096));
    PublicKey wrap = KeyFactory.getInstance("RSA").generatePublic(new X509EncodedKeySpec(given.publicKey().asByteArray()));
    byte[] material = new byte[32];
    new SecureRandom().nextBytes(material);
    SdkBytes wrapped = SdkBytes.fromByteArray(oaep(wrap, "SHA-256").doFinal(material));
    Instant until = Instant.ofEpochSecond(Instant.now().getEpochSecond() + 86_400);
    kms.importKeyMaterial(r -> r.keyId(key.arn()).importToken(given.importToken()).encryptedKeyMaterial(wrapped)
        .expirationModel(ExpirationModelType.KEY_MATERIAL_EXPIRES).validTo(until));
    KeyMetadata now = kms.describeKey(r -> r.keyId(key.arn())).keyMetadata();
    check(now.keyState() == KeyState.ENABLED && now.validTo().equals(until), now);
  }

  private void grants(String arn) {
    String root = "arn:aws:iam::" + arn.split(":")[4] + ":root";
    List<CreateGrantResponse> made = IntStream.range(0, 5).mapToObj(i -> kms.createGrant(r -> r.keyId(arn).granteePrincipal(root)
        .retiringPrincipal(root).name("g" + i).operations(GrantOperation.ENCRYPT)
        .constraints(c -> c.encryptionContextEquals(Map.of("n", "" + i))))).toList();
    Set<String> seen = kms.listGrantsPaginator(r -> r.keyId(arn).limit(2)).grants().stream().map(GrantListEntry::grantId).collect(Collectors.toSet());
    check(seen.equals(made.stream().map(CreateGrantResponse::grantId).collect(Collectors.toSet())), seen);
    kms.retireGrant(r -> r.grantToken(made.get(0).grantToken()));
    kms.revokeGrant(r -> r.keyId(arn).grantId(made.get(1).grantId()));
    check(kms.listGrants(r -> r.keyId(arn)).grants().size() == 3, "grants that are left");
  }

  private void names(String arn) {
    String prefix = "alias/" + UUID.randomUUID();
    Set<String> wanted = IntStream.range(0, 5).mapToObj(i -> prefix + "-" + i).collect(Collectors.toCollection(TreeSet::new));
    wanted.forEach(name -> kms.createAlias(r -> r.aliasName(name).targetKeyId(arn)));
    String text = refused(AlreadyExistsException.class, () -> kms.createAlias(r -> r.aliasName(prefix + "-0").targetKeyId(arn)));
    check(text.contains("already exists"), text);
    Set<String> found = kms.listAliasesPaginator(r -> r.keyId(arn).limit(2)).aliases().stream().map(AliasListEntry::aliasName).collect(Collectors.toSet());
    check(found.equals(wanted), found);
    check(kms.describeKey(r -> r.keyId(prefix + "-0")).keyMetadata().arn().equals(arn), prefix);
    List<Tag> tags = kms.listResourceTagsPaginator(r -> r.keyId(arn).limit(1)).tags().stream().toList();
    check(tags.size() == 1 && tags.get(0).tagValue().equals("java"), tags);
    String policy = kms.getKeyPolicy(r -> r.keyId(arn)).policy();
    kms.putKeyPolicy(r -> r.keyId(arn).policy(policy));
    refused(MalformedPolicyDocumentException.class, () -> kms.putKeyPolicy(r -> r.keyId(arn).policy("{")));
  }

  private void states() {
    KeyMetadata key = create();
    kms.enableKeyRotation(r -> r.keyId(key.keyId()).rotationPeriodInDays(180));
    kms.rotateKeyOnDemand(r -> r.keyId(key.keyId()));
    GetKeyRotationStatusResponse status = kms.getKeyRotationStatus(r -> r.keyId(key.keyId()));
    check(status.keyRotationEnabled() && status.rotationPeriodInDays() == 180 && status.nextRotationDate().isAfter(Instant.now()), status);
    check(kms.listKeyRotationsPaginator(r -> r.keyId(key.keyId())).rotations().stream().count() == 1, "rotations");
    kms.disableKey(r -> r.keyId(key.keyId()));
    String text = refused(DisabledException.class, () -> kms.encrypt(r -> r.keyId(key.keyId()).plaintext(bytes("x"))));
    check(text.equals(key.arn() + " is disabled."), text);
    check(kms.scheduleKeyDeletion(r -> r.keyId(key.keyId()).pendingWindowInDays(7)).deletionDate().isAfter(Instant.now()), "the date");
    refused(KmsInvalidStateException.class, () -> kms.enableKey(r -> r.keyId(key.keyId())));
    refused(NotFoundException.class, () -> kms.describeKey(r -> r.keyId(UUID.randomUUID().toString())));
    refused(InvalidArnException.class, () -> kms.describeKey(r -> r.keyId("arn:aws:kms:us-east-1:1:key")));
    refused("ValidationException", () -> kms.scheduleKeyDeletion(r -> r.keyId(key.keyId()).pendingWindowInDays(3)));
    List<String> listed = kms.listKeysPaginator(r -> r.limit(3)).keys().stream().map(KeyListEntry::keyId).toList();
    check(listed.contains(key.keyId()) && new HashSet<>(listed).size() == listed.size(), listed);
  }

  private void regions() throws InterruptedException {
    String id = kms.createKey(r -> r.multiRegion(true)).keyMetadata().keyId();
    KmsClient west = KmsClient.builder().region(Region.EU_WEST_1).build();
    kms.replicateKey(r -> r.keyId(id).replicaRegion("eu-west-1"));
    for (int i = 0; west.describeKey(r -> r.keyId(id)).keyMetadata().keyState() != KeyState.ENABLED; i++) {
      check(i < 600, "the replica was not enabled in a minute");
      Thread.sleep(100);
    }
    SdkBytes sealed = kms.encrypt(r -> r.keyId(id).plaintext(bytes("here"))).ciphertextBlob();
    check(west.decrypt(r -> r.ciphertextBlob(sealed)).plaintext().equals(bytes("here")), id);
  }
}
