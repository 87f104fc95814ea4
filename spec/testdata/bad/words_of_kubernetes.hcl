group "g" {
  egress = "none"
  activeDeadlineSeconds = "v"
  affinity = "v"
  automountServiceAccountToken = "v"
  containers = "v"
  dnsConfig = "v"
  dnsPolicy = "v"
  enableServiceLinks = "v"
  ephemeralContainers = "v"
  hostAliases = "v"
  hostIPC = "v"
  hostNetwork = "v"
  hostPID = "v"
  hostUsers = "v"
  hostname = "v"
  hostnameOverride = "v"
  imagePullSecrets = "v"
  initContainers = "v"
  nodeName = "v"
  nodeSelector = "v"
  os = "v"
  overhead = "v"
  preemptionPolicy = "v"
  priority = "v"
  priorityClassName = "v"
  readinessGates = "v"
  resourceClaims = "v"
  restartPolicy = "v"
  runtimeClassName = "v"
  schedulerName = "v"
  schedulingGates = "v"
  securityContext = "v"
  serviceAccount = "v"
  serviceAccountName = "v"
  setHostnameAsFQDN = "v"
  shareProcessNamespace = "v"
  subdomain = "v"
  terminationGracePeriodSeconds = "v"
  tolerations = "v"
  topologySpreadConstraints = "v"
  volumes = "v"
  replicas = "v"
  template = "v"
  strategy = "v"
  revisionHistoryLimit = "v"
  minReadySeconds = "v"
  paused = "v"
  progressDeadlineSeconds = "v"
  backoffLimit = "v"
  completions = "v"
  parallelism = "v"
  ttlSecondsAfterFinished = "v"
  suspend = "v"
  timeZone = "v"
  concurrencyPolicy = "v"
  startingDeadlineSeconds = "v"
  jobTemplate = "v"
  successfulJobsHistoryLimit = "v"
  failedJobsHistoryLimit = "v"
  selector = "v"
  metadata = "v"
  spec = "v"
  app "a" {
    image = "x"
    envFrom = "v"
    imagePullPolicy = "v"
    lifecycle = "v"
    livenessProbe = "v"
    name = "v"
    ports = "v"
    readinessProbe = "v"
    resizePolicy = "v"
    restartPolicy = "v"
    restartPolicyRules = "v"
    securityContext = "v"
    startupProbe = "v"
    stdin = "v"
    stdinOnce = "v"
    terminationMessagePath = "v"
    terminationMessagePolicy = "v"
    tty = "v"
    volumeDevices = "v"
    volumeMounts = "v"
    workingDir = "v"
    allowPrivilegeEscalation = "v"
    appArmorProfile = "v"
    fsGroup = "v"
    fsGroupChangePolicy = "v"
    postStart = "v"
    preStop = "v"
    privileged = "v"
    procMount = "v"
    readOnlyRootFilesystem = "v"
    runAsGroup = "v"
    runAsNonRoot = "v"
    runAsUser = "v"
    seLinuxOptions = "v"
    seccompProfile = "v"
    supplementalGroups = "v"
    supplementalGroupsPolicy = "v"
    sysctls = "v"
    windowsOptions = "v"
    timeZone = "v"
    mount "data" {
      mountPath = "/data"
      subPath   = "a"
      readOnly  = true
    }
    probe "live" {
      httpHeaders         = []
      scheme              = "HTTPS"
      initialDelaySeconds = 3
    }
    env = [{ name = "A", value = "b" }]
    resources {
      requests = { cpu = "100m" }
      limits   = { cpu = "100m" }
      claims   = []
    }
  }
  volume "data" {
    persistentVolumeClaim { claimName = "data" }
    configMap = { name = "x" }
    nfs { server = "x" }
    accessModes = ["ReadWriteOnce"]
  }
  update {
    maxSurge        = 1
    minReadySeconds = 5
    type            = "RollingUpdate"
  }
}
