/* What -D sets in protocol.pml, which includes this: its bounds, and which of its guards are taken away. */

#ifndef MEMBERS
#define MEMBERS 3
#endif
#ifndef TERMS
#define TERMS 3
#endif
#ifndef SENDS
#define SENDS 3
#endif
#define SLOTS 3 /* the most that SENDS may be; MEMBERS may be 3 */
#define WINDOW 2
#define SLACK 1
#define RETENTION (WINDOW + SLACK)
#define OLD (LIFE + 1) /* no rule tells greater ages apart: WINDOW is not more */

/* ---- The guards, and the model without each. ---- */

#ifdef NO_FENCE /* a leader's transactions do not look at the term */
#define LEADS(m) true
#else
#define LEADS(m) (number[m] == fence_number)
#endif

#ifdef ONLY_PAYMENTS /* see past the other claims, to what they are good for */
#define CLAIM(what) true
#else
#define CLAIM(what) (what)
#endif

#ifdef NO_LOCK /* they look at the term, but the raise does not wait for who has looked and not committed */
#define IN_THE_WAY(m) false
#else
#define IN_THE_WAY(m) (at[m] == FENCED)
#endif

#if defined(NO_VERSION) || defined(STAMP_IGNORES_STATE) /* what was read may have changed by the time of the write */
#define VOID false
#else
#define VOID true
#endif

#ifdef STAMP_IGNORES_STATE /* not even whether the effect was settled or cancelled */
#define STAMPABLE(basis) true
#else
#define STAMPABLE(basis) OPEN_TO(basis)
#endif

#ifdef OLD_REPLAYS /* a decline remembered for the key is taken for all sends, also for one after a proof by absence */
#define OLD_REPLAYS_COUNT true
#else
#define OLD_REPLAYS_COUNT false
#endif

#if defined(NO_WINDOW) /* the same key again at any age */
#define IN_WINDOW true
#elif defined(WINDOW_FROM_LAST_SEND)
#define IN_WINDOW (sends > 0 && age[sends - 1] < WINDOW)
#else
#define IN_WINDOW (FIRST_AGE < WINDOW)
#endif

#ifdef WINDOW_NOT_AT_STAMP /* looked at when it is decided, and not again by the stamp */
#define STILL_IN_WINDOW true
#else
#define STILL_IN_WINDOW IN_WINDOW
#endif

#ifdef NO_GUARD /* nothing is looked at between the stamp and the write, however long that took */
#define MAY_WRITE(n) true
#else
#define MAY_WRITE(n) (age[n] <= LIFE)
#endif

#ifdef LATE_REQUESTS
#define LIFE (SLACK + 1)
#else
#define LIFE SLACK
#endif

#ifdef NEW_KEY_PER_SEND
#define KNOWN_KEY false
#else
#define KNOWN_KEY (honours && memory != NOTHING)
#endif

#ifdef KEYS_IGNORED_BUT_TRUSTED
#define TRUSTS_KEYS true
#else
#define TRUSTS_KEYS honours
#endif

#ifdef ABSENT_AT_ONCE /* a look-up that finds nothing is trusted while a send may still be on its way */
#define ALL_DEAD true
#else
#define ALL_DEAD (!(ALIVE(0) || ALIVE(1) || ALIVE(2)))
#endif

#ifdef ACTS_LATE_BUT_TRUSTED /* the provider may act later than its rule says */
#define MAY_ROLL true
#else
#define MAY_ROLL (!shows)
#endif

#ifdef LAST_DECLINE_DECIDES /* a declined send is taken for the effect's failure, whatever became of the others */
#define NONE_OPEN true
#else
#define NONE_OPEN (!ANY(OPEN))
#endif

#ifdef RESOLVED_TOO_EARLY /* a person who sees nothing at the provider says `failed` while a send may be on its way */
#define PERSON_MAY_FAIL true
#else
#define PERSON_MAY_FAIL ALL_DEAD
#endif

#ifdef RESOLVED_ON_OLD_NEWS /* ... or about what has changed since the look */
#define OLD_NEWS false
#else
#define OLD_NEWS true
#endif

/* ---- What shown.pml asks for; the notes for it are taken only then. ---- */

#ifdef SHOW
byte term_of[SLOTS]; /* which term wrote the send */
bool behind;         /* a term wrote one after its successor's raise */
bool brought;        /* such a term recorded that its send acted */
bool doubted;        /* the effect was uncertain */
bool resolved;       /* a person settled it */
bool replayed;       /* the provider answered from memory that it acted */
#define NOTE(what) ; what
#else
#define NOTE(what)
#endif
