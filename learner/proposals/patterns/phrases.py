"""What tools say, by cause: the same trouble in the words of many programs, so that a pattern is about a cause.

A pattern names causes under `match.says`; one of a cause's expressions must be found. Words that a passing trouble
shares with a lasting one are left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

PHRASES: Mapping[str, tuple[str, ...]] = {
    "not_ready": (
        # databases
        r"the database system is (?:starting up|in recovery mode|not (?:yet )?accepting connections)",
        r"consistent recovery state has not (?:been )?(?:yet )?(?:been )?reached",
        r"LOADING Redis is loading|MASTERDOWN Link with MASTER is down|CLUSTERDOWN The cluster is down",
        r"ORA-01033|ORA-12528|(?:initialization or )?shutdown in progress",
        r"Server is in script upgrade mode|Database '[^'\n]{1,80}' is being recovered|is being (?:started|recovered|restored)\. (?:Wait|Try)",
        r"WSREP has not yet prepared node",
        r"NotYetInitialized|NotPrimaryNoSecondaryOk|NotWritablePrimary|not master and slaveOk=false|node is (?:in startup|recovering)|Not primary so we cannot|MongoServerError: not (?:primary|master)",
        r"master_not_discovered_exception|state not recovered ?/ ?initialized|no master|cluster_manager_not_discovered",
        r"No shard available|all shards failed",
        # brokers, stores and clusters
        r"this command requires the '\w+' app to be running|(?:node|broker) is (?:still )?(?:booting|starting|initiali[sz]ing)",
        r"unable to perform an operation on node|epmd reports: node '[^'\n]{1,60}' not running at all",
        r"LEADER_NOT_AVAILABLE|COORDINATOR_(?:NOT_AVAILABLE|LOAD_IN_PROGRESS)|coordinator is (?:not available|loading)",
        r"No cluster leader|no leader elected|has no leader|etcdserver: (?:no leader|leader changed|not capable)|Raft leader not found",
        r"local node not active but active cluster node not found|Vault is (?:initiali[sz]ing|sealed, waiting)",
        r"Another transaction is in progress(?: for \S+)?\. Please try again",
        r"apiserver not ready|etcd cluster is unavailable|the server is currently unable to handle the request",
        r"failed calling webhook \S+[^\n]{0,160}connection refused",
        # clocks that have measured nothing yet
        r"refid: 00000000|Reference ID\s*: 00000000|Leap status\s*: Not synchroni[sz]ed|no time data (?:was|is) available",
        # services and hosts
        r"Container \S+ is restarting, wait until|container is (?:not ready|starting)",
        r"(?:server|service|daemon|node|cluster|broker|application|app|database|instance|engine) is (?:still )?(?:starting|booting|initiali[sz]ing|warming up|loading|recovering|not (?:yet )?ready|not yet (?:up|available|initiali[sz]ed))",
        r"(?:is|am) not (?:yet )?ready to (?:accept|serve|handle|take)|not yet ready\b|\bnot ready yet\b",
        r"(?:start-?up|initiali[sz]ation|bootstrap|recovery|warm-?up) (?:is )?(?:still |not yet )?(?:in progress|running|complete[d]? yet)",
        r"\bstill (?:starting(?: up)?|booting|initiali[sz]ing|warming up|loading|recovering|replaying)\b",
        r"cannot accept control messages at this time|kann (?:die Steuermeldungen )?(?:zurzeit|zu diesem Zeitpunkt) keine",
        r"\((?:health: )?starting\)|state: ?STARTING|status: ?STARTING",
        r"The RPC server is too busy|server too busy",
        r"loopback device is not ready|device is not ready",
    ),
    "busy": (
        r"\b(?:is|was) busy[,.;:]? (?:please )?(?:try|retry|wait)",
        r"(?:please )?(?:try|retry) again (?:later|shortly|soon|in a (?:moment|few|minute|while)|momentarily|after some time)",
        r"(?:please|und) (?:erneut|später) (?:noch einmal )?versuchen|versuchen Sie es später|réessayez (?:plus tard|ultérieurement)|inténtelo (?:de nuevo )?más tarde",
        r"Resource temporarily unavailable|Die Ressource ist (?:zur Zeit|vorübergehend) nicht verfügbar|Ressource temporairement non disponible|Recurso no disponible temporalmente",
        r"Another app is currently holding the xtables lock",
        r"database (?:table )?is locked|SQLITE_BUSY|Lock wait timeout exceeded|deadlock (?:found|detected)|was deadlocked on lock resources|could not serialize access",
        r"could not obtain lock on|canceling statement due to (?:lock timeout|conflict with recovery)|ORA-00054|ORA-00060",
        r"Another (?:\w+ )?(?:operation|installation|transaction|update|backup|snapshot|scrub|balance|rebalance|migration) is (?:already |currently )?(?:in progress|running)",
        r"(?:operation|snapshot|backup|migration|installation|transaction) (?:is )?already in progress",
        r"Die Operation wird bereits ausgeführt|exit(?:ed with)?(?: code)? 1618|error 1618",
        r"has \"\S{1,60}\" change in progress|there is a pending change",
        r"Giving up waiting for lock|Can't get lock for \S+|Failed to (?:create/)?acquire (?:the )?lock \S+ \(timeout\)",
        r"(?:repository|archive|store|state|table|index|queue|volume) (?:\S+ )?is (?:already |currently )?locked (?:by|exclusively)",
        r"(?:held|locked|owned|in use) by (?:another |running )?(?:process|pid|PID)\b",
        r"Error acquiring the state lock|unable to acquire (?:the )?(?:exclusive )?lock\b",
        r"Job for \S{1,80} canceled|Job for \S{1,80} was canceled",
        r"Operation already in progress|Operation now in progress",
        r"(?:[Rr]un|[Jj]ob|[Tt]ask|[Cc]heck|[Ss]can|[Ss]ync|[Cc]opy|[Cc]reation|[Rr]ecovery|[Pp]rune|[Rr]eindex|[Cc]ompaction|[Vv]acuum)(?: (?:of|for) [^\n]{1,80}| operation)? (?:is )?(?:already|currently) (?:in progress|running|under ?way)",
        r"Another (?:[\w/-]+ ){1,5}(?:operation|creation|copy|process|run|job|instance|command|program) is (?:already |currently |still )?(?:in progress|running)|another \w+ process is (?:currently |already )?running",
        r"The function \"[\w.]+\" is running as PID \d+|(?:client|agent|playbook|apply|converge)[^\n]{0,40} is already running, pid",
        r"The service is starting or stopping|NET HELPMSG 3544",
    ),
    "vanishing": (
        r"file has vanished|some files vanished before they could be transferred|\(code 24\)",
        r"file changed as we read it|File removed before we read it|file shrank by [0-9]+ bytes|file truncated; padding with zeros",
        r"Datei (?:wurde|hat sich) (?:beim|während des) (?:Einlesen|Lesen)s? (?:geändert|gelöscht)|(?:le )?fichier (?:a été )?modifié pendant sa lecture|el fichero ha cambiado mientras se estaba leyendo",
        r"Table definition has changed, please retry transaction|cache lookup failed for relation|tuple concurrently updated",
    ),
    "cannot_reach": (
        r"Connection refused|ECONNREFUSED|actively refused|\(111\)|Verbindungsaufbau abgelehnt|Verbindung abgelehnt|Connexion refusée|Conexión rehusada",
        r"(?:Can't|Cannot|Could ?n[o']t|Couldn't|Unable to|Failed to|failed to|not able to|can not) (?:connect|talk|communicate|open connection|reach|contact|ping)\b",
        r"connection to server (?:on socket|at) [^\n]{1,200} failed",
        r"(?:is|are|was) not running|not running but is required|\bis (?:down|inactive|stopped|dead)\b|scheduler is not running|nodedown|läuft nicht|n'est pas (?:lancé|démarré|en cours)|no está (?:en ejecución|corriendo)",
        r"Connection failed\. Please check if \S+ daemon is operational",
        r"Transport endpoint is not connected",
        r"has not been started|wurde nicht gestartet|n'a pas été démarré|no se ha iniciado|0x80070426|\b1062\b",
        r"FAILED 1068|dependency (?:service|job)[^\n]{0,80} failed|Dependency failed for|Der Abhängigkeitsdienst|Abhängigkeitsdienst oder die Abhängigkeitsgruppe konnte nicht gestartet werden",
        r"depends on [^\n]{1,80} (?:which|that) (?:failed|is not|did not)",
        r"(?:connect|dial)(?:ing)? (?:to )?(?:unix|\S*socket)[^\n]{1,160}(?:no such file|refused)",
        r"no such file or directory[^\n]{0,60}while connecting to upstream",
    ),
    "starting_to_listen": (
        r"Connection refused|ECONNREFUSED|actively refused|\(111\)|Verbindungsaufbau abgelehnt|Verbindung verweigert|Connexion refusée|Conexión rehusada",
        r"Failed to connect to \S+ port \d+[^\n]{0,30}: Could(?:n't| not) connect|Couldn't connect to server|Unable to connect to the remote server|Es kann keine Verbindung",
        r"Empty reply from server|Recv failure: Connection reset by peer|Remote end closed connection without response|connection reset by peer",
        r"The requested URL returned error: 50[234]|HTTP (?:status )?(?:server )?error[^\n]{0,12}50[234]|\b50[234] (?:Bad Gateway|Service (?:Temporarily )?Unavailable|Gateway Time-?out)",
        r"Can't connect to (?:local )?(?:MySQL |MariaDB )?server through socket '[^'\n]{1,120}' \((?:2|111)\)|connection to server on socket \"[^\"\n]{1,120}\" failed: No such file",
        r"no response from|not listening|is not open\b|Broker may not be available|could not be established",
    ),
    "address_in_use": (
        r"Address already in use|EADDRINUSE|\(98\)|errno[ =:]*98\b|only one usage of each socket address|\b10048\b",
        r"port (?:is )?already (?:allocated|in use)|(?:is|are) already in use|Adresse wird bereits verwendet|Adresse déjà utilisée|La dirección ya se está usando",
    ),
    "still_ending": (
        r"appears to still be running with PID \d+",
        r"failed to obtain node locks|maybe these locations are not writable or multiple nodes were started",
        r"(?:old|previous|former) (?:process|instance) (?:is )?(?:still|has not) (?:running|alive|stopping|shutting down|ended|exited|stopped)",
        r"is still (?:stopping|shutting down)|not yet (?:stopped|shut down)|did not stop in time",
        r"(?:data ?base|data directory|store|index|environment|home) (?:\S+ )?is (?:already |still )?(?:locked|in use|open) by another (?:process|instance)",
        r"Cannot (?:create|obtain|acquire) lock on [^\n]{1,160}(?:already|another)|Unable to lock (?:the )?(?:data|store|\./ibdata)",
    ),
    "running_already": (
        r"\balready (?:started|running|active|loaded|bootstrapped)\b|service already|instance of the service is already running",
        r"FAILED 1056|NET HELPMSG 2182|has already been started|wurde bereits gestartet|läuft bereits|a déjà été démarré|ya se ha iniciado|está già eseguendo|è già stato avviato",
        r"another server (?:might be|is) running|pg_ctl: another server|node with name \S+ (?:is )?already running",
    ),
    "there_already": (
        r"already exists|existiert (?:schon|bereits)|ist bereits vorhanden|existe déjà|ya existe|esiste già|bestaat al|já existe",
        r"File exists|Datei (?:oder Verzeichnis )?existiert|le fichier existe|El (?:fichero|archivo) ya existe|\bEEXIST\b",
        r"FAILED 1073|\b2224\b|\b1379\b|already (?:part|a member) of|bereits Mitglied",
        r"Bootstrap failed: (?:5|17|37): |service already (?:bootstrapped|loaded)",
        r"pool with that name (?:is )?already|a pool with that name",
    ),
    "gone": (
        r"Unknown thread id|No such (?:process|container|network|volume|image|object|device|remote|user|group|job|session)",
        r"Cannot find device|no such (?:pool|dataset)|dataset does not exist|Failed to find logical volume|not found in volume group",
        r"(?:user|group|database|role|interface|bridge|snapshot|account) [\"'`‘]?[\w@./:-]{1,80}[\"'’]? (?:does not exist|not found|could not be found)",
        r"(?:is )?not (?:currently )?mounted|no mount point specified|Device \S+ (?:is not active|not found)|is not active\.",
        r"\(NotFound\)|FAILED 1060|NET HELPMSG 2221|NET HELPMSG 2310|no such (?:bridge|port)|does not exist or is not",
        r"(?:rm|unlink|rmdir): (?:cannot|failed to) (?:remove|unlink)[^\n]{0,200}: No such file or directory",
    ),
    "not_there": (
        r"No such file or directory|Datei oder Verzeichnis nicht gefunden|Aucun fichier ou (?:dossier|répertoire)[^\n]{0,20}|No existe el (?:fichero|archivo) o el directorio|File o directory non esistente",
        r"is missing or empty|cannot find the (?:path|file)|does not exist|not found|\bENOENT\b",
    ),
}  # fmt: skip


@lru_cache(maxsize=64)
def phrases(cause: str) -> tuple[re.Pattern[str], ...]:
    """The expressions of a cause.

    Raises: `ValueError` for a cause that is not known.
    """
    if cause not in PHRASES:
        raise ValueError(f"there is no cause {cause}; there are: {', '.join(sorted(PHRASES))}")
    return tuple(re.compile(text, re.IGNORECASE) for text in PHRASES[cause])
