"""What the knowledge questions know. Only entries with one usual answer in both languages."""

LATIN_WORDS = (
    "anchor", "basket", "candle", "dragon", "engine", "forest", "garden", "hammer", "island",
    "jacket", "kitten", "lemon", "marble", "needle", "orange", "pencil", "quartz", "rabbit",
    "silver", "table", "urchin", "violet", "window", "yellow", "zebra", "bridge", "copper",
    "donkey", "feather", "guitar", "harbor", "insect", "jungle", "kernel", "ladder", "mirror",
)  # fmt: skip

# Hiragana without voicing marks, small kana or long vowels, so that their order is their code's.
KANA_WORDS = (
    "あさひ", "いのち", "うみ", "えのき", "おとな", "かえる", "きつね", "くも", "けむり", "こおり",
    "さくら", "しろ", "すいか", "せみ", "そら", "たぬき", "ちから", "つくえ", "てんき", "とけい",
    "なみ", "にわとり", "ぬの", "ねこ", "のり", "はさみ", "ひかり", "ふね", "へちま", "ほたる",
    "まつり", "みなと", "むし", "めいろ", "もり", "やま", "ゆき", "よる", "らせん", "りす", "るす",
    "れいとう", "ろうそく", "わた",
)  # fmt: skip

WORDS = (
    ("dog", "犬"), ("cat", "猫"), ("horse", "馬"), ("bird", "鳥"), ("fish", "魚"),
    ("mountain", "山"), ("river", "川"), ("sea", "海"), ("sky", "空"), ("moon", "月"),
    ("star", "星"), ("flower", "花"), ("cloud", "雲"), ("rainbow", "虹"), ("rain", "雨"),
    ("snow", "雪"), ("fire", "火"),
    ("water", "水"), ("stone", "石"), ("tree", "木"), ("island", "島"), ("bridge", "橋"),
    ("station", "駅"), ("hospital", "病院"), ("library", "図書館"), ("school", "学校"),
    ("book", "本"), ("forest", "森"), ("sand", "砂"), ("snake", "蛇"), ("sheep", "羊"),
    ("newspaper", "新聞"), ("map", "地図"), ("wall", "壁"), ("bone", "骨"),
    ("clock", "時計"), ("umbrella", "傘"), ("key", "鍵"), ("chair", "椅子"), ("desk", "机"),
    ("window", "窓"), ("bicycle", "自転車"), ("dream", "夢"), ("egg", "卵"),
    ("milk", "牛乳"), ("sugar", "砂糖"), ("salt", "塩"), ("meat", "肉"), ("vegetable", "野菜"),
    ("fruit", "果物"), ("music", "音楽"), ("history", "歴史"), ("science", "科学"),
    ("mathematics", "数学"), ("morning", "朝"), ("night", "夜"), ("face", "顔"),
    ("summer", "夏"), ("tooth", "歯"), ("winter", "冬"), ("south", "南"), ("north", "北"),
    ("east", "東"), ("west", "西"), ("red", "赤"), ("blue", "青"), ("white", "白"),
    ("black", "黒"), ("hand", "手"), ("ear", "耳"), ("eye", "目"), ("mouth", "口"), ("nose", "鼻"),
)  # fmt: skip
"""English, Japanese"""

CAPITALS = (
    ("France", "Paris", "フランス", "パリ"), ("Italy", "Rome", "イタリア", "ローマ"),
    ("Germany", "Berlin", "ドイツ", "ベルリン"),
    ("Portugal", "Lisbon", "ポルトガル", "リスボン"),
    ("Austria", "Vienna", "オーストリア", "ウィーン"),
    ("Greece", "Athens", "ギリシャ", "アテネ"), ("Norway", "Oslo", "ノルウェー", "オスロ"),
    ("Sweden", "Stockholm", "スウェーデン", "ストックホルム"),
    ("Finland", "Helsinki", "フィンランド", "ヘルシンキ"),
    ("Denmark", "Copenhagen", "デンマーク", "コペンハーゲン"),
    ("Poland", "Warsaw", "ポーランド", "ワルシャワ"),
    ("Hungary", "Budapest", "ハンガリー", "ブダペスト"),
    ("Czechia", "Prague", "チェコ", "プラハ"), ("Romania", "Bucharest", "ルーマニア", "ブカレスト"),
    ("Bulgaria", "Sofia", "ブルガリア", "ソフィア"),
    ("Serbia", "Belgrade", "セルビア", "ベオグラード"),
    ("Croatia", "Zagreb", "クロアチア", "ザグレブ"),
    ("Ireland", "Dublin", "アイルランド", "ダブリン"),
    ("Belgium", "Brussels", "ベルギー", "ブリュッセル"),
    ("Latvia", "Riga", "ラトビア", "リガ"), ("Estonia", "Tallinn", "エストニア", "タリン"),
    ("Russia", "Moscow", "ロシア", "モスクワ"),
    ("Japan", "Tokyo", "日本", "東京"), ("China", "Beijing", "中国", "北京"),
    ("South Korea", "Seoul", "韓国", "ソウル"), ("Thailand", "Bangkok", "タイ", "バンコク"),
    ("Vietnam", "Hanoi", "ベトナム", "ハノイ"),
    ("the Philippines", "Manila", "フィリピン", "マニラ"),
    ("Nepal", "Kathmandu", "ネパール", "カトマンズ"),
    ("Bangladesh", "Dhaka", "バングラデシュ", "ダッカ"),
    ("Iran", "Tehran", "イラン", "テヘラン"), ("Iraq", "Baghdad", "イラク", "バグダッド"),
    ("Turkey", "Ankara", "トルコ", "アンカラ"), ("Egypt", "Cairo", "エジプト", "カイロ"),
    ("Kenya", "Nairobi", "ケニア", "ナイロビ"), ("Ghana", "Accra", "ガーナ", "アクラ"),
    ("Morocco", "Rabat", "モロッコ", "ラバト"), ("Tunisia", "Tunis", "チュニジア", "チュニス"),
    ("Senegal", "Dakar", "セネガル", "ダカール"), ("Uganda", "Kampala", "ウガンダ", "カンパラ"),
    ("Canada", "Ottawa", "カナダ", "オタワ"), ("Cuba", "Havana", "キューバ", "ハバナ"),
    ("Peru", "Lima", "ペルー", "リマ"), ("Ecuador", "Quito", "エクアドル", "キト"),
    ("Uruguay", "Montevideo", "ウルグアイ", "モンテビデオ"),
    ("Australia", "Canberra", "オーストラリア", "キャンベラ"),
    ("New Zealand", "Wellington", "ニュージーランド", "ウェリントン"),
)  # fmt: skip
"""Country and capital in English, then in Japanese"""

ELEMENTS = (
    ("hydrogen", "水素", "H", 1), ("helium", "ヘリウム", "He", 2), ("lithium", "リチウム", "Li", 3),
    ("boron", "ホウ素", "B", 5), ("carbon", "炭素", "C", 6), ("nitrogen", "窒素", "N", 7),
    ("oxygen", "酸素", "O", 8), ("fluorine", "フッ素", "F", 9), ("neon", "ネオン", "Ne", 10),
    ("sodium", "ナトリウム", "Na", 11), ("magnesium", "マグネシウム", "Mg", 12),
    ("aluminium", "アルミニウム", "Al", 13), ("silicon", "ケイ素", "Si", 14),
    ("phosphorus", "リン", "P", 15),
    ("sulfur", "硫黄", "S", 16), ("chlorine", "塩素", "Cl", 17), ("argon", "アルゴン", "Ar", 18),
    ("potassium", "カリウム", "K", 19), ("calcium", "カルシウム", "Ca", 20),
    ("titanium", "チタン", "Ti", 22),
    ("chromium", "クロム", "Cr", 24), ("manganese", "マンガン", "Mn", 25), ("iron", "鉄", "Fe", 26),
    ("cobalt", "コバルト", "Co", 27), ("nickel", "ニッケル", "Ni", 28), ("copper", "銅", "Cu", 29),
    ("zinc", "亜鉛", "Zn", 30), ("bromine", "臭素", "Br", 35), ("krypton", "クリプトン", "Kr", 36),
    ("silver", "銀", "Ag", 47), ("tin", "スズ", "Sn", 50), ("iodine", "ヨウ素", "I", 53),
    ("xenon", "キセノン", "Xe", 54), ("tungsten", "タングステン", "W", 74),
    ("platinum", "白金", "Pt", 78),
    ("gold", "金", "Au", 79), ("mercury", "水銀", "Hg", 80), ("lead", "鉛", "Pb", 82),
    ("radon", "ラドン", "Rn", 86), ("uranium", "ウラン", "U", 92),
)  # fmt: skip
"""English name, Japanese name, symbol, atomic number"""
