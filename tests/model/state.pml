/* What protocol.pml, which includes this, is about: what there is to know, and the words for what follows from it. */

/* Where a member is. */
mtype = { FOLLOWING, CLAIMED, LEADING, DECIDED, FENCED, STAMPED, WAITING, ANSWERED };
/* What its next transaction shall do; the first three stamp a send, each for its reason (model/settle.Basis). */
mtype = { NOTHING, FRESH, SAME_KEY, ABSENCE, SUCCEED, FAIL, DOUBT, PAGE };
/* The effect. */
mtype = { PLANNED, SENDING, SUCCEEDED, FAILED, UNCERTAIN, CANCELLED };
/* A send, as the ledger knows it: it may have acted, acted, declined, declined as remembered for the key, not executed,
   proved by absence. What the provider remembers for the key: NOTHING, ACTED, DECLINED, or BROKEN (a 500). */
mtype = { OPEN, ACTED, DECLINED, REMEMBERED, UNTOUCHED, GONE, BROKEN };

byte token;        /* the coordinator's last one */
byte fence_number; /* the row of the fence */
byte fence_token;

mtype ledger = PLANNED;
mtype said[SLOTS] = NOTHING; /* NOTHING: no such row */
byte age[SLOTS];
byte sends; /* how many were begun, no column: it names the slots and is the bound */

bool honours;
bool shows;
mtype memory = NOTHING;
byte key_age;
bool rolling;
byte payments;
bool flying[SLOTS];

mtype at[MEMBERS] = FOLLOWING;
byte claim[MEMBERS];  /* the token, until the raise */
byte number[MEMBERS]; /* the term's number, after it */
mtype todo[MEMBERS] = NOTHING;
byte slot[MEMBERS]; /* the send in hand */
mtype answer[MEMBERS] = NOTHING;
mtype finding = NOTHING; /* what a person saw at the provider */

/* The claims, under the names that a failed assertion shows. */
bool one_term = true;
bool acted_once = true;
bool truly_settled = true;
bool sent_while_open = true;

/* Used within one step only. */
byte i;
mtype reply = NOTHING;

#define ANY(x) (said[0] == x || said[1] == x || said[2] == x)
#define ALIVE(n) (said[n] == OPEN && age[n] <= LIFE)
#define FINAL (ledger == SUCCEEDED || ledger == FAILED || ledger == CANCELLED)
#define OPEN_TO(basis) (ledger == PLANNED || ledger == SENDING || (ledger == UNCERTAIN && basis != SAME_KEY))
#define STAMPS(what) (what == FRESH || what == SAME_KEY || what == ABSENCE)
/* A send that is known to be untouched has stored no key, so it uses nothing of the window up. */
#define USES(n) (said[n] != NOTHING && said[n] != UNTOUCHED)
#define FIRST_AGE (USES(0) -> age[0] : (USES(1) -> age[1] : age[2]))
/* Proof that it never acted and never will: a decline answers its own send, one remembered for the key answers all. */
#define REFUTED (ANY(REMEMBERED) || (NONE_OPEN && ANY(DECLINED)))
#define MORE (sends < SENDS) /* the bound of the search, no rule */
#define UNSETTLED (!ANY(ACTED) && !REFUTED)
#define READS(m) (at[m] == LEADING && !FINAL)
/* Members are alike: when the lowest one that follows claims, every other choice is the same story, renamed. */
#define LOWEST_FOLLOWER(m) ((m == 0 || at[0] != FOLLOWING) && (m <= 1 || at[1] != FOLLOWING))
