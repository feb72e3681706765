package admin

// PathBackup is the path of backups of the database.
const PathBackup = "/v1/backup"

// Backup asks for a copy of the database.
type Backup struct {
	Path string `json:"path"` // absolute; of a file that is not there, in a directory that the appliance's user can write
}

// BackedUp is what a backup consists of.
type BackedUp struct {
	Path     string   `json:"path"`
	Bytes    int64    `json:"bytes"`
	AuditDir string   `json:"audit_dir"` // to be kept with it
	Tokens   []string `json:"tokens"`    // by their names in the configuration; to be backed up by their vendors' means
}
