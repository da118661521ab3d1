"""Forty prompts for the demo, from trivial to hard. Written for Routecast; in no data set."""

PROMPTS: tuple[str, ...] = (
    "Hi!",
    "Thanks, that helped a lot.",
    "What is the capital of Portugal?",
    "Translate 'good morning' into Italian.",
    "Spell 'accommodate'.",
    "What's 15% of 80?",
    "Give me three synonyms for 'happy'.",
    "Write a two-line birthday wish for my colleague Ana.",
    "Convert 72 degrees Fahrenheit to Celsius.",
    "List the primary colours.",
    "Is a tomato a fruit or a vegetable?",
    "Summarise in one sentence: The meeting moved from Tuesday to Thursday at ten because the "
    "client's flight is late, and Priya will send the slides beforehand.",
    "Make this friendlier: 'Send me the report today.'",
    "Which is bigger, Lake Baikal or Lake Superior, by volume?",
    "¿Cuál es la diferencia entre 'ser' y 'estar'? Pon dos ejemplos.",
    "Écris un courriel poli pour reporter un rendez-vous chez le dentiste.",
    "Erkläre einem Kind, warum der Himmel blau ist.",
    "日本の梅雨はいつ頃ですか。",
    "اكتب جملة ترحيب قصيرة لموقع متجر كتب.",
    "Сравни Kafka и RabbitMQ для очереди платежей: порядок, повторы, гарантия доставки.",
    "Write a Python function that reverses a string.",
    "Fix this: `for i in range(10) print(i)`",
    "Write a regular expression for ISO dates such as 2026-11-21 and explain each part.",
    "My SQL query is slow: SELECT * FROM orders o JOIN users u ON u.id = o.user_id WHERE "
    "lower(u.email) = 'a@example.com' ORDER BY o.created_at DESC LIMIT 20. Which indexes help, "
    "and why does the function call matter?",
    "Implement a lock-free single-producer single-consumer ring buffer in C++20 and justify every "
    "memory ordering that you use.",
    "This Rust code fails to compile with 'cannot borrow `*self` as mutable more than once at a "
    "time'. Explain the borrow checker's reasoning and restructure it:\n\n"
    "fn step(&mut self) { for p in self.particles.iter_mut() { self.collide(p); } }",
    "Design an API rate limiter for 50 regions with a global quota: state the consistency you give "
    "up, the failure modes, and how you would test it.",
    "A train leaves at 14:05 and arrives at 17:50. How long is the journey?",
    "Solve 3x + 7 = 22.",
    "Prove that there are infinitely many primes congruent to 3 modulo 4.",
    "Evaluate the integral of x^2 * exp(-x^2) over the real line, and show each step.",
    "A fair coin is tossed until the pattern HTH appears. What is the expected number of tosses? "
    "Derive it with a Markov chain.",
    "Show that every finite integral domain is a field, then give an infinite counterexample.",
    "A 63-year-old with type 2 diabetes and stage 3b kidney disease starts an SGLT2 inhibitor. "
    "Which laboratory changes are expected in the first month, and which would make you stop?",
    "Under the Vienna Convention, when may a state invoke a fundamental change of circumstances to "
    "withdraw from a treaty? Discuss the limits with two cases.",
    "Compare the monetary policy responses to 1979 and to 2021 inflation, and argue which "
    "conditions of the former did not hold in the latter.",
    "Balance: Fe + O2 -> Fe2O3.",
    "Derive the rotational energy levels of a rigid rotor and explain which transitions an "
    "infrared spectrum shows, and why.",
    "Write a haiku about autumn rain.",
    "Plan a four-week onboarding for a data engineer who joins a team that has no documentation: "
    "goals per week, the risks, and how you would know by day ten that it is failing.",
)
